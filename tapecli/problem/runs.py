"""How a minimisation is run, beside what it minimises and by which method: batches, checkpoints, several starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tapecli.core import Array
from tapecli.errors import TapeError, written_at
from tapecli.language.formula import Goal
from tapecli.optimize import loop, methods
from tapecli.optimize.batches import MiniBatches
from tapecli.optimize.descent import Descent
from tapecli.optimize.method import Frozen, Method, State
from tapecli.optimize.target import Target
from tapecli.problem.results import Minimum, Step
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


class RunOptions(NamedTuple):
    """Options of a run, each of them a keyword of `Problem.minimize`.

    batch, epochs      mini-batches: rows per step, and how often all rows are gone through; None leaves it to the file
    seed               of the order of rows and of further starts; None leaves it to the file, and to the problem's
    max_evaluations    the greatest number of evaluations
    starts, jobs       from how many starts, and how many processes share them
    checkpoint         a file to keep the state of the run in
    resume             go on from there, where there is one
    checkpoint_every   seconds between two checkpoints; 0 keeps every step
    force              a checkpoint that is there may be replaced
    """

    batch: int | None = None
    epochs: int | None = None
    seed: int | None = None
    max_evaluations: int | None = None
    starts: int = 1
    jobs: int = 1
    checkpoint: str | None = None
    resume: bool = False
    checkpoint_every: float = 5.0
    force: bool = False


#: The greatest number of starts.
MOST = 100_000
#: Reasons to stop after which a run can go on.
UNFINISHED = ("interrupted", "timeout", "max_evaluations")
#: All data at every step, one start, no checkpoints.
PLAIN = RunOptions()


def checked(how: RunOptions) -> RunOptions:
    """The options, if they make sense."""
    for name, least in (("max_evaluations", 1), ("starts", 1), ("jobs", 1)):
        value = getattr(how, name)
        if value is not None and not (value >= least and float(value).is_integer()):
            raise TapeError("usage", f"{name} is a whole number, {least} or more, not {value}")
    if how.starts > MOST:
        raise TapeError("usage", f"{how.starts} starts are too many: at most {MOST:,}")
    if not how.checkpoint_every >= 0:
        raise TapeError("usage", f"checkpoint_every is a number of seconds, 0 or more, not {how.checkpoint_every}")
    if how.resume and how.checkpoint is None:
        raise TapeError("usage", "there is no checkpoint to resume from", hint="name it: --checkpoint FILE --resume")
    if how.starts > 1 and how.checkpoint is not None:
        raise TapeError("usage", "a checkpoint keeps one run, not one of several starts", hint="leave one of them out")
    return how


def seed_of(problem: Problem, goal: Goal, how: RunOptions) -> int:
    """The seed: the caller's, or the file's, or the problem's."""
    seed = goal.settings.get("seed", problem.seed) if how.seed is None else how.seed
    if not (float(seed).is_integer() and seed >= 0):
        with written_at(goal.place, how.seed is None and "seed" in goal.settings):
            raise TapeError("usage", f"seed is a whole number, 0 or more, not {seed}")
    return int(seed)


def batched(goal: Goal, how: RunOptions) -> tuple[int, int | None] | None:
    """Rows per batch and number of epochs, or None where every step takes all data."""
    if how.batch is None and how.epochs is None and goal.settings.keys().isdisjoint(("batch", "epochs")):
        return None
    from tapecli.problem import batching

    with written_at(goal.place, how.batch is None and how.epochs is None):
        return batching.asked(goal.settings, how.batch, how.epochs)


def for_batches(options: Mapping[str, Any]) -> tuple[Method, str]:
    """The method for batches where nobody names one, and why."""
    from tapecli.problem import batching

    name, usual = batching.AUTOMATIC
    return methods.make(name, {**usual, **options}), "a step sees a batch of the rows"


def prepared(
    problem: Problem,
    at: Mapping[str, Array],
    goal: Goal,
    method: Method,
    limits: loop.Limits,
    how: RunOptions,
    counted: bool,
) -> tuple[Method, loop.Limits]:
    """The method and the limits, for batches where they are asked for. `counted`: the caller says how many steps."""
    limits = limits._replace(evaluations=how.max_evaluations)
    wanted = batched(goal, how)
    if wanted is None:
        return method, limits
    from tapecli.problem import batching

    if not isinstance(method, Descent):
        message = f"`{method.name}` takes all data at every step, and no batches"
        raise TapeError("usage", message, place=goal.place, hint="sgd, adam and the other first-order methods do")
    source = batching.Batches(problem, at, -1.0 if goal.kind == "maximize" else 1.0)
    counted = counted or (how.epochs is None and "steps" in goal.settings)
    return batching.stepping(method, source, *wanted, seed_of(problem, goal, how), limits, counted)


def watched(callback: Callable[[Step], None] | None, told: Callable[[State], Step]) -> Watched | None:
    """What tells `callback` of the steps."""
    return None if callback is None else Watched(callback, told)


class Watched:
    """Tells a callback of steps: of all, or, where it has a method `due(number)`, of those that this is true for, and
    of the last one. Making a `Step` takes longer than asking. A method `flush()` is called before each checkpoint."""

    def __init__(self, callback: Callable[[Step], None], told: Callable[[State], Step]) -> None:
        self._callback = callback
        self._told = told
        self._due: Callable[[int], bool] | None = getattr(callback, "due", None)
        self._last = -1

    def __call__(self, state: State) -> None:
        if self._due is None or self._due(state.step):
            self._last = state.step
            self._callback(self._told(state))

    def ahead(self, number: int) -> int:
        """How many steps after this one need not be told: none, if the callback does not say otherwise."""
        ahead: Callable[[int], int] | None = getattr(self._callback, "ahead", None)
        return 1 if ahead is None else ahead(number)

    def flush(self) -> None:
        """What was told so far is to be safe."""
        flush: Callable[[], None] | None = getattr(self._callback, "flush", None)
        if flush is not None:
            flush()

    def end(self, state: State) -> None:
        """The run is over at this state."""
        if self._last != state.step:
            self._callback(self._told(state))


def execute(
    problem: Problem,
    at: Mapping[str, Array],
    method: Method,
    target: Target,
    limits: loop.Limits,
    how: RunOptions,
    see: Watched | None,
) -> tuple[loop.Ending, tuple[str, ...]]:
    """Runs the loop, from the checkpoint on where there is one, and keeps checkpoints where they are asked for. Answers
    also with what is to be said about that."""
    notes: tuple[str, ...] = ()
    if how.checkpoint is None:
        ending = loop.run(method, target, limits, see)
    else:
        ending, notes = _kept(problem, at, method, target, limits, how, see)
    if see is not None:
        see.end(ending.state)
    if isinstance(method, MiniBatches):
        from tapecli.problem import batching

        ending = batching.whole(method, target, ending)
    return ending, notes


def _kept(
    problem: Problem,
    at: Mapping[str, Array],
    method: Method,
    target: Target,
    limits: loop.Limits,
    how: RunOptions,
    see: Watched | None,
) -> tuple[loop.Ending, tuple[str, ...]]:
    from tapecli.optimize import checkpoint  # with json and hashlib, which nobody else needs

    path = os.fspath(how.checkpoint or "")
    path = os.path.realpath(path) if os.path.islink(path) else path
    identity = identity_of(problem, at, method, target)
    saved, note = None, None
    if how.resume:
        checkpoint.reachable(path)
        saved, note = checkpoint.latest(path, identity)
    else:
        checkpoint.claim(path, how.force)
    keeper = checkpoint.Keeper(path, identity, how.checkpoint_every, None if see is None else see.flush)
    state, best = (None, None) if saved is None else (saved.state, saved.best)
    if state is not None and not isinstance(method, MiniBatches):
        limits = limits._replace(floor=loop.bottom(target.value(target.flat(target.starts))))
    ending = loop.run(method, target, limits, see, keeper, state, best)
    keeper.write(ending.state, ending.best)
    notes = () if note is None else (note,)
    if keeper.fault is not None:
        notes = (*notes, keeper.fault.message)
    elif ending.stop_reason in UNFINISHED:
        notes = (*notes, f"the run so far is in {path}; with --resume it goes on from step {ending.state.step}")
    return ending, notes


def identity_of(problem: Problem, at: Mapping[str, Array], method: Method, target: Target) -> dict[str, str]:
    """What makes this run the run that it is, and no other. How long it goes on is no part of it."""
    from tapecli.optimize.checkpoint import hashed

    inputs = problem.formula.inputs.values()
    fixed = {e.name: at.get(e.name, e.value) for e in inputs if e.kind != "var"}
    data = [part for name, array in fixed.items() if array is not None for part in (name, array)]
    others = [f"--{name} {getattr(problem, name)}" for name in ("dtype", "kink")]
    if target.residuals is not None:
        others += [f"--loss {target.residuals.loss}", f"--loss-scale {target.residuals.scale:g}"]
    return {
        "formula": hashed(problem.source.text),
        "data": hashed(*data),
        "start": hashed(*target.starts),
        "options": ", ".join([told(method), f"--engine {target.engine}", *others]),
    }


def told(method: Method) -> str:
    """A method with its settings, in words."""
    if isinstance(method, Descent):
        return repr(method.optimizer)
    if isinstance(method, MiniBatches):
        return f"{told(method.descent)}, batch={method.size}, seed={method.shuffle.seed}"
    assert isinstance(method, Frozen)
    plain: list[str] = []
    names: tuple[str, ...] = tuple(type(method).__slots__)
    for name in sorted(names):
        value: Any = getattr(method, name)
        if isinstance(value, (bool, int, float, str, tuple)) or value is None:
            plain.append(f"{name}={value!r}")
    return f"{method.name}({', '.join(plain)})"


def from_several(
    problem: Problem,
    at: Mapping[str, Array],
    goal: Goal,
    how: RunOptions,
    timeout: float | None,
    once: Callable[[dict[str, Array], float | None], Minimum],
    callback: Callable[[Step], None] | None,
) -> Minimum:
    """The best of the runs from several starts."""
    from tapecli.problem import starts

    found = starts.Starts(problem, at, how.starts, seed_of(problem, goal, how))
    sign = -1.0 if goal.kind == "maximize" else 1.0
    return starts.minimize(once, found, how.jobs, timeout, sign, callback)
