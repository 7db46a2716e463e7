"""What is known inside a branch: in `if c then x else y` the condition `c` holds throughout `x`, and not in `y`.

The masks that keep the branch that is not taken out of a derivative repeat one condition at every step; a person writes
it once. Conditions on arrays are left alone, since a sum inside the branch mixes entries where they differ.
"""

from __future__ import annotations

from tapecli.write.terms import Term, Terms, reachable

#: Larger terms are left as they are, so that the time does not grow as their square.
LARGEST = 3000


def settled(t: Terms, root: Term) -> Term:
    """`root` without conditions whose answer is known where they stand."""
    if root.size > LARGEST:
        return root
    while True:
        done: dict[Term, Term] = {}
        for term in reachable([root]):
            term_ = done[term] = _remade(t, term, [done[arg] for arg in term.args])
            if term_.kind == "if" and not term_.args[0].shape:
                c, x, y = term_.args
                inner = t.choose(c, _given(t, x, c, True), _given(t, y, c, False), term_.shape)
                done[term] = inner
        if done[root] is root:
            return root
        root = done[root]


def _given(t: Terms, root: Term, condition: Term, holds: bool) -> Term:
    """`root` where `condition` is known."""
    if root.size > LARGEST:
        return root
    done: dict[Term, Term] = {}
    for term in reachable([root]):
        if term.kind == "if" and term.args[0] is condition:
            done[term] = t.spread(done[term.args[1 if holds else 2]], term.shape)
        else:
            done[term] = _remade(t, term, [done[arg] for arg in term.args])
    return done[root]


def _remade(t: Terms, term: Term, args: list[Term]) -> Term:
    """`term` of other arguments, simplified as it is when it is made first."""
    if all(new is old for new, old in zip(args, term.args, strict=True)):
        return term
    if term.kind == "product":
        up, down, exponents = term.value
        return t.spread(t.product(zip(args, exponents, strict=True), up, down), term.shape)
    if term.kind == "sum":
        ups, downs = term.value
        parts = [(t.product([(arg, 1.0)], up, down), 1.0) for arg, up, down in zip(args, ups, downs, strict=False)]
        return t.spread(t.total([*parts, (t.product([], ups[-1], downs[-1]), 1.0)]), term.shape)
    if term.kind == "if":
        return t.choose(args[0], args[1], args[2], term.shape)
    return t.make(term.kind, term.value, args, term.shape)
