"""`Problem.blame`: the operation that first made a value or a derivative not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import INPUT, Graph, Node, needed
from tapecli.problem import points
from tapecli.problem.evaluations import Derivatives, Evaluation
from tapecli.problem.origins import Origin, origin, run
from tapecli.problem.provenance import whereabouts

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


def blame(problem: Problem, result: Evaluation | Derivatives) -> TapeError:
    """The error that tells where the numbers of a result that are not finite come from; where they come from several
    places, the others stand in its `more`."""
    at = points.checked(problem.formula, result.at)
    if isinstance(result, Evaluation):
        return _joined(
            [
                _of_value(problem, at, problem._output(name)[1], f"`{name}`", value)
                for name, value in result.values.items()
                if not np.all(np.isfinite(value))
            ]
        )
    node = problem._output(result.of)[1]
    if not np.all(np.isfinite(result.value)):
        return _of_value(problem, at, node, f"`{result.of}`", result.value)
    return _of_derivative(problem, at, node, result)


def _joined(errors: list[TapeError]) -> TapeError:
    """The first of some errors, with those that have another place in its `more`."""
    kept: dict[object, TapeError] = {}
    for error in errors:
        place = error.place
        kept.setdefault(None if place is None else (place.start, place.end), error)
    first, *rest = kept.values()
    first.more = tuple(rest)
    return first


def _of_value(problem: Problem, at: Mapping[str, Array], node: Node, what: str, value: Array) -> TapeError:
    leaves = problem.runner.leaves()
    given = dict(zip([leaf for _, leaf in leaves], problem.runner.arrays(leaves, at), strict=True))
    env = run([node], given, problem.dtype)
    return _told(problem, f"{what} is {_kind(value)}", origin(node, env))


def _of_derivative(problem: Problem, at: Mapping[str, Array], node: Node, result: Derivatives) -> TapeError:
    """The same over the graph of the derivatives, whose nodes stand at the places that they are derivatives of."""
    order = 2 if result.hessian is not None or result.product is not None else 1
    names = list(result.gradient or result.jacobian or {})
    leaves = problem.runner.leaves(names)
    position = {leaf.index: i for i, (_, leaf) in enumerate(leaves)}
    wrt = [position[problem.formula.names[name].index] for name in names]
    function = problem.runner.function([node], [leaf for _, leaf in leaves])
    graph = Graph()
    inputs = [graph.input(name, leaf.shape) for name, leaf in leaves]
    kind = derive.hessian if order == 2 else derive.jacobian if result.jacobian is not None else derive.gradient
    outputs = [
        out if isinstance(out, Node) else graph.literal(out) for out in kind(lambda *xs: function(*xs)[0], wrt)(*inputs)
    ]
    given = dict(zip(inputs, problem.runner.arrays(leaves, at), strict=True))
    env = run(outputs, given, problem.dtype)
    found = []
    for i, output in enumerate(outputs[1:]):
        value = env[output.index]
        if not np.all(np.isfinite(value)):
            which = "derivative" if i < len(names) else "second derivative"
            name = names[i] if i < len(names) else names[(i - len(names)) % len(names)]
            cause = origin(output, env)
            stage = _stage(cause, outputs, len(names))
            found.append(_told(problem, f"the {which} to `{name}` is {_kind(value)}", cause, stage))
    if found:
        return _joined(found)
    return TapeError("nonfinite", f"a derivative of `{result.of}` is not finite")


#: What an operation belongs to, by the order of the derivative.
STAGES = ("in the value", "in the gradient", "in the second derivative")


def _stage(cause: Origin, outputs: Sequence[Node], count: int) -> str:
    """Whether the operation belongs to the value, to the gradient or to the second derivative alone."""
    ends = (1, 1 + count)
    found = next((k for k, end in enumerate(ends) if any(n is cause.top for n in needed(outputs[:end]))), len(ends))
    return STAGES[found if cause.order is None else min(found, cause.order)]


def _told(problem: Problem, what: str, cause: Origin, stage: str = "") -> TapeError:
    node, env = cause.node, cause.env
    text = node.place.text if node.place is not None else node.op.name
    value = env[node.index]
    where = cause.entry
    at = "".join(f", {part}" for part in [*whereabouts(problem, node, where, cause.steps), stage] if part)
    if node.op is INPUT:
        message = f"{what}: `{node.params['name']}` itself is {_kind(value)}{at}"
        return TapeError("nonfinite", message, place=node.place)
    inputs = ", ".join([*(_entry(env[arg.index], value, where) for arg in node.args), *_settings(node)])
    which = f" (entry {where + 1})" if value.ndim else ""
    short = text if len(text) <= 40 else node.op.name
    return TapeError(
        "nonfinite",
        f"{what}: `{node.op.name}` of {inputs}{which} made it so first{at}",
        place=node.place,
        label=f"`{short}` is where it begins",
        hint="keep the argument inside the operation's domain, or choose another branch there with `if`",
    )


def _settings(node: Node) -> list[str]:
    """The numbers that belong to an operation itself, such as an exponent."""
    return [f"{name} {value:g}" for name, value in node.params.items() if isinstance(value, float)]


def _entry(arg: Array, value: Array, where: int) -> str:
    if arg.shape == value.shape:
        return repr(float(arg.reshape(-1)[where]))
    return repr(float(arg)) if arg.ndim == 0 else f"an array of {arg.size}"


def _kind(value: Array) -> str:
    if value.ndim:
        return "not finite"
    number = float(value)
    return "not a number" if np.isnan(number) else "infinite"
