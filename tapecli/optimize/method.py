"""What a method of minimisation is: a pair of pure functions on an explicit state. The loop owns everything else.

The protocol
------------
A `Method` is a frozen value, its settings inside. It has

    init(target, x0)      -> State   the state of step 0, at the start
    step(target, state)   -> State   the state after one more step
    result(state)         -> Point   what is handed out where the steps ran out: x, or an average where one is kept
    rate(step)            -> float   the learning rate of a step, for those who look on; None where there is none

A method may also have

    stretch(target, state, best, count, tol, floor) -> (state, best), or None where it cannot here

which takes up to `count` steps at once, in compiled code. It ends early after a step whose numbers are not finite,
whose gradient norm is `tol` or less or whose value is `floor` or less, and minds the best point on the way. The states
are those that single steps would have given, to the last bit. Its `key` is then what the program of its steps is kept
by in the target; the loop remembers their pace by it.

`target` (a `Target`) is what is minimised: values and exact derivatives, compiled once and kept, with bounds. It holds
no part of a run, so a run is its `State` alone.

A `State` is frozen and made of arrays and plain numbers: `state.flat()` is a dict from names to arrays, and
`State.restored(flat)` the same state again, to the last bit. So a checkpoint is one `.npz`, and a run that goes on from
it ends with the bits of a run that was never stopped:

    state = State.restored(dict(numpy.load("run.npz")))
    ending = loop.run(method, target, limits, state=state)

A state is complete: value and gradient norm belong to its point, and `memory` holds whatever the next step needs (the
moments of Adam, the pairs of L-BFGS, the radius of a trust region), by the method's own names. A method keeps nothing
beside it, neither in itself nor in the target. Nothing in it is changed in place.

A method that knows that it is done says so by `stop`, the number of a reason in `STOPS`; 0 is to go on. The loop judges
everything that is not the method's: numbers of steps, the tolerance asked for, time, values that are not finite,
interrupts (Ctrl-C ends the step and then the run), the best point seen, callbacks and checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from tapecli.core import Array
from tapecli.optimize.target import Target
from tapecli.records import NamedTuple

Point: TypeAlias = tuple[Array, ...]

#: As many steps as there may be.
ANY = 1 << 62
#: Why a run stopped, in the words of results; a state's `stop` counts through them, 0 being to go on.
STOPS = (
    "",
    "steps",
    "gradient_tolerance",
    "value_tolerance",
    "step_tolerance",
    "target",
    "max_evaluations",
    "timeout",
    "interrupted",
    "nonfinite",
    "stalled",
)


class State(NamedTuple):
    """A run after `step` steps, complete.

    x              the point, an array for each variable
    value          of what is minimised, at the point
    gradient_norm  the 2-norm of the projected gradient there: without what points out of a bound that x lies on
    evaluations    how many points the target was evaluated at so far
    violation      by how much constraints are violated at most, 0 where there are none
    stop           why the method is done, as an index into `STOPS`; 0 where it goes on
    memory         the method's own arrays, by name
    """

    step: int
    x: Point
    value: float
    gradient_norm: float
    evaluations: int
    memory: Mapping[str, Array]
    violation: float = 0.0
    stop: int = 0

    def flat(self) -> dict[str, Array]:
        """The whole state as arrays by name: `x/0` and on, the numbers, and `memory/…`."""
        numbers = {
            "step": np.int64(self.step),
            "value": np.float64(self.value),
            "gradient_norm": np.float64(self.gradient_norm),
            "evaluations": np.int64(self.evaluations),
            "violation": np.float64(self.violation),
            "stop": np.int64(self.stop),
        }
        arrays = {f"x/{i}": x for i, x in enumerate(self.x)} | {f"memory/{k}": a for k, a in self.memory.items()}
        return {name: np.asarray(value) for name, value in (numbers | arrays).items()}

    @classmethod
    def restored(cls, flat: Mapping[str, Array]) -> State:
        """The state that `flat` was made of. Raises KeyError where a part is missing."""
        count = sum(name.startswith("x/") for name in flat)
        return cls(
            step=int(flat["step"]),
            x=tuple(flat[f"x/{i}"] for i in range(count)),
            value=float(flat["value"]),
            gradient_norm=float(flat["gradient_norm"]),
            evaluations=int(flat["evaluations"]),
            memory={name.removeprefix("memory/"): array for name, array in flat.items() if name.startswith("memory/")},
            violation=float(flat["violation"]),
            stop=int(flat["stop"]),
        )


class Method(Protocol):
    """See the module. `name` is what --method takes; `wanders` says whether the value may rise from step to step."""

    @property
    def name(self) -> str: ...

    @property
    def wanders(self) -> bool: ...

    def init(self, target: Target, x0: Sequence[Array]) -> State: ...

    def step(self, target: Target, state: State) -> State: ...

    def result(self, state: State) -> Point: ...

    def rate(self, step: int) -> float | None: ...


class Frozen:
    """A value whose attributes are set once, by `_set` in its `__init__`."""

    __slots__ = ()

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a method is frozen")
