"""The goals, each declared once. A goal is judged by medians of one run, as the tables show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from figures import Figures
from starts import SIZE, WORKLOAD
from subjects import OURS


class Found(NamedTuple):
    """What was measured: a number, and a word about whom it was measured against."""

    number: float
    against: str = ""


class Goal(NamedTuple):
    """`key` names the goal in notes.toml. With `least` the figure must not be less than `limit`, else not more."""

    key: str
    text: str
    limit: float
    least: bool
    measure: Callable[[Figures], Found | None]
    unit: str = ""

    def met(self, found: Found) -> bool:
        return found.number >= self.limit if self.least else found.number <= self.limit


def _over(workload: str, n: int, peer: str) -> Callable[[Figures], Found | None]:
    def measure(f: Figures) -> Found | None:
        ratio = f.ratio(workload, n, peer)
        return None if ratio is None else Found(ratio)

    return measure


def _over_best(workload: str, n: int) -> Callable[[Figures], Found | None]:
    def measure(f: Figures) -> Found | None:
        best = f.best(workload, n)
        return None if best is None else Found(best[1], best[0])

    return measure


def _figure(get: Callable[[Figures], float | None]) -> Callable[[Figures], Found | None]:
    def measure(f: Figures) -> Found | None:
        number = get(f)
        return None if number is None else Found(number)

    return measure


def _share(workload: str, n: int) -> Callable[[Figures], Found | None]:
    def measure(f: Figures) -> Found | None:
        share = f.share(workload, n)
        return None if share is None else Found(100 * share[1])

    return measure


def _microseconds(subject: str) -> Callable[[Figures], Found | None]:
    def measure(f: Figures) -> Found | None:
        time = f.time("scalar", 1, subject)
        return None if time is None else Found(time * 1e6, f.cells["scalar", 1, subject]["remark"])

    return measure


def _agreement(f: Figures) -> Found | None:
    held = [record for record in f.cells.values() if "difference" in record]
    return Found(len(f.wrong()), f"{len(held)} results held against ours") if held else None


def _goals() -> Iterator[Goal]:
    n = 100_000
    for name, size in (("quad", n), ("rosen", n), ("expfit", n), ("heavy", n), ("sgdfit", n)):
        yield Goal(
            f"{name}-jax", f"{name}, n = {size}: JAX takes at least 4 times as long", 4, True, _over(name, size, "jax")
        )
        yield Goal(
            f"{name}-best",
            f"{name}, n = {size}: the best peer takes at least twice as long",
            2,
            True,
            _over_best(name, size),
        )
    yield Goal("sgd-best", "sgd: the best peer takes at least twice as long", 2, True, _over_best("sgd", 1))
    yield Goal(
        "logis-best", f"logis, n = {n}: the best peer takes at least twice as long", 2, True, _over_best("logis", n)
    )
    for name, size in (("gmm", 1_000), ("lstm", 1_024)):
        text = f"{name}, n = {size}: the best peer takes at least 1.5 times as long"
        yield Goal(f"{name}-best", text, 1.5, True, _over_best(name, size))
    size = 10_000_000
    yield Goal(
        "quad-copy", f"quad, n = {size}: at least 90 % of the speed of a copy", 90, True, _share("quad", size), "%"
    )
    for name in ("expfit", "rosen", "heavy"):
        text = f"{name}, n = {n}: value and gradient take at most 2.5 times as long as the value"
        yield Goal(f"{name}-slope", text, 2.5, False, _figure(lambda f, name=name: f.gradient_to_value(name, n)))
    for way, limit in (("warm", 1.3), ("cold", 2.0)):
        start = f"tapecli grad --engine native, {way}"
        text = f"first result of {WORKLOAD}, n = {SIZE}, {way} cache: at most {limit:g} times `import numpy`"
        yield Goal(f"start-{way}", text, limit, False, _figure(lambda f, start=start: f.start(start)))
    yield Goal("scalar-call", "scalar: value and gradient in at most 2 µs a call", 2, False, _microseconds(OURS), " µs")
    yield Goal("agreement", "no result differs from ours by more than 1e-10", 0, False, _agreement)


GOALS = tuple(_goals())
