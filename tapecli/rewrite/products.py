"""The order of matrix products: `(A @ B) @ v` is computed as `A @ (B @ v)` where that takes fewer multiplications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tapecli.core import TABLE, Shape
from tapecli.graph import Graph, Node, needed

#: Chains of more matrices than this are left in the order they are written in.
LONGEST = 40


def ordered(outputs: Sequence[Node]) -> list[Node]:
    """`outputs` with every chain of matrix products in its cheapest order (Godbole, IEEE Transactions on Computers
    C-22, 1973). A product that is wanted for itself as well stays whole."""
    order = needed(outputs)
    uses = Counter(arg.index for node in order for arg in node.args)
    uses.update(node.index for node in outputs)
    inner = {
        arg.index
        for node in order
        for arg in node.args
        if _plain(node) and _plain(arg) and uses[arg.index] == 1 and len(arg.shape) == 2
    }
    found: dict[int, list[Node]] = {}
    for node in order:
        if _plain(node):
            found[node.index] = [x for arg in node.args for x in (found[arg.index] if arg.index in inner else [arg])]
    chains = {k: chain for k, chain in found.items() if k not in inner and 2 < len(chain) <= LONGEST}
    if not chains:
        return list(outputs)
    env: dict[int, Node] = {}
    for node in order:
        graph = node.graph
        graph.here = node.place
        if node.index in chains:
            env[node.index] = _best(graph, [env[x.index] for x in chains[node.index]])
        elif any(env[arg.index] is not arg for arg in node.args):
            env[node.index] = graph.add(node.op, [env[arg.index] for arg in node.args], node.params)
        else:
            env[node.index] = node
    return [env[node.index] for node in outputs]


def _plain(node: Node) -> bool:
    """Whether a node is a product of single matrices and vectors."""
    return node.op.name == "matmul" and all(1 <= len(arg.shape) <= 2 for arg in node.args)


def _best(graph: Graph, chain: Sequence[Node]) -> Node:
    """The product of a chain by the cheapest order."""
    sizes = _sizes([x.shape for x in chain])
    n = len(chain)
    cost = [[0.0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    product: dict[tuple[int, int], Node] = {(i, i): x for i, x in enumerate(chain)}
    for i, j in _spans(cut, n):
        k = cut[i][j]
        product[i, j] = graph.add(TABLE["matmul"], (product[i, k], product[k + 1, j]), {})
    return product[0, n - 1]


def _sizes(shapes: Sequence[Shape]) -> list[int]:
    """The sizes between the matrices; a vector at an end has one row or one column."""
    first, last = shapes[0], shapes[-1]
    rows = [1 if len(first) == 1 else first[0]]
    return rows + [shape[0] for shape in shapes[1:]] + [1 if len(last) == 1 else last[1]]


def _spans(cut: Sequence[Sequence[int]], n: int) -> list[tuple[int, int]]:
    """The products that the cheapest order takes, inner ones first."""
    spans, stack = [], [(0, n - 1)]
    while stack:
        i, j = stack.pop()
        if i < j:
            spans.append((i, j))
            stack += [(i, cut[i][j]), (cut[i][j] + 1, j)]
    return spans[::-1]
