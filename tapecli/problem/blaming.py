"""`Problem.blame`: the operation that first made a value or a derivative not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed
from tapecli.ops.arithmetic import select
from tapecli.problem import points
from tapecli.problem.results import Derivatives, Evaluation

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


def blame(problem: Problem, result: Evaluation | Derivatives) -> TapeError:
    """The error that tells where a result's first number that is not finite comes from."""
    at = points.checked(problem.formula, result.at)
    if isinstance(result, Evaluation):
        for name, value in result.values.items():
            if not np.all(np.isfinite(value)):
                return _of_value(problem, at, problem._output(name)[1], f"`{name}`", value)
        raise AssertionError("every value is finite")
    node = problem._output(result.of)[1]
    if not np.all(np.isfinite(result.value)):
        return _of_value(problem, at, node, f"`{result.of}`", result.value)
    return _of_derivative(problem, at, node, result)


def _of_value(problem: Problem, at: Mapping[str, Array], node: Node, what: str, value: Array) -> TapeError:
    leaves = problem.runner.leaves()
    given = dict(zip([leaf for _, leaf in leaves], problem.runner.arrays(leaves, at), strict=True))
    return _told(f"{what} is {_kind(value)}", *_culprit(node, given, problem.dtype))


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
    env = _run(outputs, given, problem.dtype)
    for i, output in enumerate(outputs[1:]):
        value = env[output.index]
        if not np.all(np.isfinite(value)):
            which = "derivative" if i < len(names) else "second derivative"
            name = names[i] if i < len(names) else names[(i - len(names)) % len(names)]
            return _told(f"the {which} to `{name}` is {_kind(value)}", *_culprit(output, given, problem.dtype, env))
    return TapeError("nonfinite", f"a derivative of `{result.of}` is not finite")


def _run(outputs: Sequence[Node], given: Mapping[Node, Array], dtype: Any) -> dict[int, Array]:
    """Every value on the way to `outputs`."""
    env: dict[int, Any] = {node.index: value for node, value in given.items()}
    with np.errstate(all="ignore"):
        for node in needed(outputs):
            if node.op is LITERAL:
                env[node.index] = node.params["value"].astype(dtype)
            elif node.op is not INPUT:
                env[node.index] = np.asarray(node.op.kernel(*[env[arg.index] for arg in node.args], **node.params))
    return env


def _culprit(
    node: Node, given: Mapping[Node, Array], dtype: Any, env: dict[int, Array] | None = None
) -> tuple[Node, list[Array], Array]:
    """Down from a node that is not finite to the first operation that made it so of finite arguments."""
    env = env if env is not None else _run([node], given, dtype)
    while True:
        args = list(node.args)
        if node.op is select:
            condition = env[args[0].index]
            taken = [args[1]] if np.all(condition != 0) else [args[2]] if np.all(condition == 0) else args[1:]
            args = taken
        worse = [arg for arg in args if not np.all(np.isfinite(env[arg.index])) and arg.op is not LITERAL]
        if not worse:
            return node, [env[arg.index] for arg in node.args], env[node.index]
        node = worse[0]


def _told(what: str, node: Node, args: list[Array], value: Array) -> TapeError:
    text = node.place.text if node.place is not None else node.op.name
    if node.op is INPUT:
        return TapeError("nonfinite", f"{what}: `{node.params['name']}` itself is {_kind(value)}", place=node.place)
    where = _first_entry(value)
    inputs = ", ".join(_entry(arg, value, where) for arg in args)
    which = f" (entry {where + 1})" if value.ndim else ""
    short = text if len(text) <= 40 else node.op.name
    return TapeError(
        "nonfinite",
        f"{what}: `{node.op.name}` of {inputs}{which} made it so first",
        place=node.place,
        label=f"`{short}` is where it begins",
        hint="keep the argument inside the operation's domain, or choose another branch there with `if`",
    )


def _first_entry(value: Array) -> int:
    return int(np.flatnonzero(~np.isfinite(value.reshape(-1)))[0])


def _entry(arg: Array, value: Array, where: int) -> str:
    if arg.shape == value.shape:
        return repr(float(arg.reshape(-1)[where]))
    return repr(float(arg)) if arg.ndim == 0 else f"an array of {arg.size}"


def _kind(value: Array) -> str:
    if value.ndim:
        return "not finite"
    number = float(value)
    return "not a number" if np.isnan(number) else "infinite"
