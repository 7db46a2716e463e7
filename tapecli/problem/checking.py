"""`Problem.check`: expectations, and every derivative beside a numerical one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive, engines
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.errors import Place
from tapecli.graph import INPUT, LITERAL, Node, needed, replay
from tapecli.language.formula import Expected
from tapecli.ops.arithmetic import stop
from tapecli.problem import numeric
from tapecli.problem.results import Check, DerivativeCheck, Expectation, Worst
from tapecli.problem.running import PATIENCE, Runner
from tapecli.problem.updating import statements, value_place

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: The relative tolerance of an `expect` line that names none.
WITHIN = 1e-6
#: Entries of one variable that are checked; of more, this many are drawn by the seed.
ENTRIES = 40
#: What derivatives may differ by, relative to their scale, beyond the numerical estimate's own uncertainty.
TOLERANCE = {"float64": 1e-7, "float32": 1e-3}

#: An estimate that is off by more than this part of the derivative, by its own account, decides nothing.
UNDECIDED = 0.2

HOLDS: dict[str, Callable[[Array, Array], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def check(problem: Problem, at: Mapping[str, Array]) -> Check:
    """Everything that can be checked of a problem at a point."""
    expectations = tuple(_expectation(problem, at, i) for i in range(len(problem.formula.expected)))
    derivatives: tuple[DerivativeCheck, ...] = ()
    output = None
    if problem.formula.outputs or problem.formula.goal:
        output, node = problem._output(None)
        variables = [entry.name for entry in problem.formula.inputs.values() if entry.kind == "var"]
        if not node.shape and variables:
            derivatives = tuple(_derivatives(problem, at, node, variables))
    return Check(output, problem._shown(at), expectations, derivatives, problem.dtype, "tape")


# ---- expectations -----------------------------------------------------------------------------------------------


def _expectation(problem: Problem, at: Mapping[str, Array], i: int) -> Expectation:
    """The `expect` line number i, at its own point: that may change shapes, or set bound names."""
    problem, at = problem._placed({**at, **problem.formula.expected[i].at})
    e = problem.formula.expected[i]
    if e.fault is not None:
        raise e.fault
    sides = [side for side in (e.left, e.right) if side is not None]
    values = [np.asarray(value) for value in _values(problem, at, sides)]
    got, wanted = values[0], values[1] if len(values) > 1 else None
    within = WITHIN if e.within is None else e.within
    worst = _worst(got, wanted, within) if e.relation in ("==", "!=") and wanted is not None else None
    stretch = value_place(next(islice(statements(problem), i, None)).right)
    place = None if stretch is None or wanted is None else Place(problem.source, *stretch)
    ok = _holds(e, got, wanted)
    return Expectation(e.place.line, e.text, ok, got, wanted, e.place, e.relation, worst, place)


def _worst(got: Array, wanted: Array, within: float) -> Worst | None:
    """The entry that is furthest off, by its tolerance."""
    got, wanted = np.broadcast_arrays(got, wanted)
    if not got.size:
        return None
    with np.errstate(all="ignore"):
        distance = np.abs(got - wanted).astype(np.float64)
        allowed = within * np.where(wanted == 0, 1.0, np.abs(wanted)).astype(np.float64)
        close = np.asarray(_close(got, wanted, within))
        ratio = distance / np.maximum(allowed, 1e-300)
        ratio = np.where(close, np.minimum(ratio, 1.0), np.maximum(ratio, 1.0))
        ratio = np.where(np.isnan(ratio), np.where(close, 0.0, np.inf), ratio)
    k = int(np.argmax(ratio))
    index = tuple(int(i) + 1 for i in np.unravel_index(k, got.shape)) if got.shape else ()
    d, a, w = float(distance.reshape(-1)[k]), float(allowed.reshape(-1)[k]), float(wanted.reshape(-1)[k])
    return Worst(index, d, d / abs(w) if w else None, a, int(np.count_nonzero(~close)), got.size)


def _holds(e: Expected, got: Array, wanted: Array | None) -> bool:
    if wanted is None:
        return bool(np.all((got != 0) & ~np.isnan(got)))
    if e.relation in HOLDS:
        return bool(np.all(HOLDS[e.relation](got, wanted)))
    close = bool(np.all(_close(got, wanted, WITHIN if e.within is None else e.within)))
    return close if e.relation == "==" else not close


def _close(got: Array, wanted: Array, within: float) -> Any:
    """Relative to what is wanted, absolute where that is 0; infinities and nan equal themselves."""
    with np.errstate(all="ignore"):
        near = np.abs(got - wanted) <= within * np.where(wanted == 0, 1.0, np.abs(wanted))
    return np.where(np.isfinite(wanted), near, (got == wanted) | (np.isnan(got) & np.isnan(wanted)))


def _values(problem: Problem, at: Mapping[str, Array], nodes: list[Node]) -> list[Array]:
    leaves = problem.runner.leaves()
    function = problem.runner.function(nodes, [node for _, node in leaves])
    compiled = engines.compile(
        "tape", function, [Argument(name, node.shape, None) for name, node in leaves], problem.dtype
    )
    return compiled.run(*problem.runner.arrays(leaves, at))


# ---- derivatives ------------------------------------------------------------------------------------------------


def _derivatives(problem: Problem, at: Mapping[str, Array], node: Node, names: list[str]) -> list[DerivativeCheck]:
    """First derivatives against the value, second ones against the gradient."""
    leaves = problem.runner.leaves()
    arrays = problem.runner.arrays(leaves, at)
    position = {name: i for i, (name, _) in enumerate(leaves)}
    wrt = [position[name] for name in names]
    inner = problem.runner.function([node], [leaf for _, leaf in leaves])
    held = _held(problem, at, node)

    def f(*xs: Any) -> Any:
        return inner(*xs)[0]

    def still(*xs: Any) -> Any:
        """The same function, with what `stop` holds at its numbers here: what numerical derivatives are taken of."""
        given = {**dict(zip([leaf for _, leaf in leaves], xs, strict=True)), **held}
        return replay([node], given, np.dtype(problem.dtype).type)[0]

    arguments = [Argument(name, leaf.shape, None) for name, leaf in leaves]
    size = sum(arrays[i].size for i in wrt)
    value = _often(problem, lambda *xs: [still(*xs)], arguments, min(size, ENTRIES * len(wrt)))
    analytic = (
        problem.dtype == "float64"
        and bool(np.isfinite(value(*arrays)[0]))  # outside its domain a function may be complex, and have a derivative
        and all(n.op.complex is not None or n.op in (INPUT, LITERAL) for n in needed([node], held) if n not in held)
    )
    small = size <= ENTRIES
    kind = "hessian" if small else "gradient"
    exact = engines.compile("tape", getattr(derive, kind)(f, wrt), arguments, problem.dtype).run(*arrays)[1:]
    lost = _lost(problem, at, node, names, kind, exact)
    found = []
    for i, g, loss in zip(wrt, exact, lost, strict=False):
        found.append(_first(problem, value, held if analytic else None, arrays, i, leaves[i][0], g, loss))
    if small:
        slopes = _Slopes(_often(problem, derive.gradient(still, wrt), arguments, size), arrays)
        blocks = list(zip(exact[len(wrt) :], lost[len(wrt) :], strict=True))
        for r in range(len(wrt)):
            for c in range(r, len(wrt)):
                pair = f"{names[r]},{names[c]}" if r != c else names[r]
                found.append(_second(problem, slopes, wrt, (r, c), pair, *blocks[r * len(wrt) + c]))
    return found


def _often(problem: Problem, f: Any, arguments: list[Argument], entries: int) -> Any:
    """`f` made to run two times for each step of the numerical derivatives to so many entries."""
    runs = 2 * numeric.STEPS * entries
    engine, how = "auto" if runs > PATIENCE else "tape", problem.runner.how
    compiled = engines.compile(engine, f, arguments, problem.dtype, runs, how)
    return lambda *xs: compiled.run(*xs)  # what runs it may change on the way


class _Slopes:
    """The gradient at points where one entry of one array is moved. Each such point is computed once, for all the
    entries of the gradient that are derived there."""

    def __init__(self, gradient: Any, arrays: list[Array]) -> None:
        self._gradient = gradient
        self.arrays = arrays
        self._found: dict[tuple[int, int, float], list[Array]] = {}

    def __call__(self, i: int, k: int, z: Array) -> list[Array]:
        key = i, k, float(z)
        if key not in self._found:
            self._found[key] = self._gradient(*_moved(self.arrays, i, k, z))[1:]
        return self._found[key]


def _lost(
    problem: Problem, at: Mapping[str, Array], node: Node, names: list[str], kind: str, exact: list[Array]
) -> list[Array]:
    """What rounding took from each derivative: in single precision, the distance to the same in double."""
    if problem.dtype == "float64":
        return [np.zeros(g.shape) for g in exact]
    double, _ = Runner(problem.formula, "tape", "float64").run(kind, [node], names, at)
    with np.errstate(all="ignore"):
        return [np.abs(one - two) for one, two in zip(exact, double[1:], strict=True)]


def _held(problem: Problem, at: Mapping[str, Array], node: Node) -> dict[Node, Array]:
    """What the formula takes as a constant with `stop`, and its numbers at a point."""
    nodes = [n for n in needed([node]) if n.op is stop]
    return dict(zip(nodes, _values(problem, at, nodes), strict=True)) if nodes else {}


def _entries(problem: Problem, size: int) -> list[int]:
    if size <= ENTRIES:
        return list(range(size))
    random = np.random.default_rng(problem._settings.seed)
    return sorted(int(k) for k in random.choice(size, ENTRIES, replace=False))


def _moved(arrays: list[Array], i: int, k: int, entry: Any) -> list[Array]:
    """`arrays` with one entry of array `i` replaced."""
    moved = list(arrays)
    moved[i] = np.array(arrays[i], dtype=np.result_type(arrays[i], entry))
    moved[i].reshape(-1)[k] = entry
    return moved


def _first(
    problem: Problem,
    value: Any,
    held: Mapping[Node, Array] | None,
    arrays: list[Array],
    i: int,
    name: str,
    g: Array,
    lost: Array,
) -> DerivativeCheck:
    worst: DerivativeCheck | None = None
    for k in _entries(problem, g.size):
        x, mine = float(arrays[i].reshape(-1)[k]), float(g.reshape(-1)[k])
        estimate = None
        if held is not None and np.isfinite(mine):
            estimate = numeric.complex_step(lambda z, k=k: _complex(problem, held, arrays, i, k, z), x)  # type: ignore[misc]

        def along(z: Array, k: int = k) -> Any:
            return value(*_moved(arrays, i, k, z))[0]

        if estimate is None or not np.isfinite(estimate.value):
            estimate = numeric.central(along, x, arrays[i].dtype)
        judged = _judged(problem, name, 1, mine, estimate, float(lost.reshape(-1)[k]))
        if not judged.ok and _at_kink(along, x, mine, arrays[i].dtype):
            judged = judged._replace(ok=True)
        worst = _worse(worst, judged)
    return worst or DerivativeCheck(name, 1, True, 0.0, 0.0, 0.0, "central")


def _complex(problem: Problem, held: Mapping[Node, Array], arrays: list[Array], i: int, k: int, z: Any) -> Any:
    """The output at a complex point, by the ops' complex kernels."""
    leaves = problem.runner.leaves()
    _, node = problem._output(None)
    env: dict[int, Any] = {leaf.index: value for (_, leaf), value in zip(leaves, _moved(arrays, i, k, z), strict=True)}
    env.update((n.index, value) for n, value in held.items())
    with np.errstate(all="ignore"):
        for n in needed([node], held):
            if n.index in env:
                continue
            if n.op is LITERAL:
                env[n.index] = n.params["value"]
            elif n.op is not INPUT:
                assert n.op.complex is not None
                env[n.index] = n.op.complex(*[env[arg.index] for arg in n.args], **n.params)
    return env[node.index]


def _second(
    problem: Problem,
    slopes: _Slopes,
    wrt: Sequence[int],
    at: tuple[int, int],
    name: str,
    block: Array,
    lost: Array,
) -> DerivativeCheck:
    """One block of the Hessian. An entry is a slope of either of two gradients; rounding that the numbers do not show
    (in `y - sin(x)`, where sin is flat) may spoil one of them, so an entry fails only where both say so."""
    row, column = at
    worst: DerivativeCheck | None = None
    across = slopes.arrays[wrt[column]].size

    def slope(of: tuple[int, int], along: tuple[int, int]) -> numeric.Estimate:
        """How a gradient's entry moves with an entry of a variable, each given by its variable and number."""
        array = slopes.arrays[wrt[along[0]]]

        def f(z: Array) -> Any:
            return slopes(wrt[along[0]], along[1], z)[of[0]].reshape(-1)[of[1]]

        return numeric.central(f, float(array.reshape(-1)[along[1]]), array.dtype)

    for k in range(across):
        for j in range(block.size // across):
            mine, rounded = float(block.reshape(-1, across)[j, k]), float(lost.reshape(-1, across)[j, k])
            judged = _judged(problem, name, 2, mine, slope((row, j), (column, k)), rounded)
            if not judged.ok and (row, j) != (column, k):
                other = _judged(problem, name, 2, mine, slope((column, k), (row, j)), rounded)
                judged = other if other.ok and other.decided else judged
            worst = _worse(worst, judged)
    return worst or DerivativeCheck(name, 2, True, 0.0, 0.0, 0.0, "central")


def _judged(
    problem: Problem, name: str, order: int, mine: float, estimate: numeric.Estimate, lost: float
) -> DerivativeCheck:
    """One derivative beside its estimate. An estimate so uncertain that it says nothing decides nothing, but a
    derivative that is not finite where the estimate is has failed."""
    scale = max(abs(mine), abs(estimate.value), 1e-300)
    if not np.isfinite(mine):
        ok = not np.isfinite(estimate.value)  # then neither is evidence of anything
        return DerivativeCheck(name, order, ok, mine, estimate.value, float("inf"), estimate.method, not ok)
    distance = abs(mine - estimate.value)
    error = distance / scale if np.isfinite(distance) else float("inf")
    allowed = TOLERANCE[problem.dtype] * scale + 5.0 * min(estimate.uncertainty, 1e-2 * max(scale, 1.0))
    allowed += 2.0 * (lost if lost < 1e-2 * scale else 1e-2 * scale)
    held = bool(distance <= allowed)
    decided = held or bool(estimate.uncertainty <= UNDECIDED * scale)
    error = error if distance > 0 or not decided else 0.0
    return DerivativeCheck(name, order, held or not decided, mine, estimate.value, error, estimate.method, decided)


def _at_kink(f: Callable[[Array], Any], x: float, mine: float, dtype: Any) -> bool:
    """Whether the slopes to the left and to the right of `x` differ, and `mine` lies between them: at a kink, any such
    number is as good as a numerical derivative's."""
    h = float(np.finfo(dtype).eps) ** 0.4 * max(abs(x), 1e-2)
    low, here, high = (np.asarray(x + step, dtype=dtype) for step in (-h, 0.0, h))
    below, middle, above = float(f(low)), float(f(here)), float(f(high))
    left, right = (middle - below) / float(here - low), (above - middle) / float(high - here)
    gap = abs(right - left)
    slack = 1e-2 * gap
    return gap > 0.05 * max(abs(left), abs(right)) and min(left, right) - slack <= mine <= max(left, right) + slack


def _worse(one: DerivativeCheck | None, two: DerivativeCheck) -> DerivativeCheck:
    if one is None:
        return two
    first, second = (one.ok, one.decided), (two.ok, two.decided)
    if first != second:
        return min((one, two), key=lambda d: (d.ok, d.decided))
    return two if two.error > one.error else one
