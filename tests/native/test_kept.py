"""Programs from the cache, which are not written again: that they are told apart, and that they are the same."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli import derive, engines, ops
from tapecli.engines import Argument, How, Stepping
from tapecli.engines.native import build, cache, fingerprint, layout, text
from tapecli.engines.traced import Traced, trace
from tapecli.problem.showing import Trace

SAMPLES = Path(tp.__file__).parents[1] / "samples"
ROOMS = [path.stem for path in Path(tp.__file__).parent.iterdir()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAPECLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def writings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written and what was compiled, in order."""
    done: list[str] = []

    def noted(name: str, before: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            done.append(name)
            return before(*args)

        return call

    for module, name in ((text, "written"), (text, "repeated"), (build, "compiled")):
        monkeypatch.setattr(module, name, noted(name, getattr(module, name)))
    return done


def traced(f: Callable[..., Any], *shapes: tuple[int, ...], dtype: Any = "float64") -> Traced:
    return trace(lambda *xs: [f(*xs)], [Argument(f"a{k}", s, None) for k, s in enumerate(shapes)], dtype)


def test_a_second_process_writes_nothing(writings: list[str]) -> None:
    source = "var x = [1, 2, 3]\ny = sum(exp(x)*x) + x[2]"
    first = tp.parse(source, engine="native").derivatives()
    assert writings == ["written", "compiled"]
    second = tp.parse(source, engine="native").derivatives()
    assert writings == ["written", "compiled"]
    assert second.engine == "native" and second.value == first.value
    assert second.gradient["x"].tobytes() == first.gradient["x"].tobytes()


def test_nor_does_it_for_steps_that_are_repeated(writings: list[str]) -> None:
    source = "var x = 3\ny = (x - 1)^2\nminimize y using sgd(learning_rate=0.1), steps=40"
    results = [tp.parse(source, engine="native").minimize() for _ in range(3)]
    assert writings == ["repeated", "compiled"]
    assert len({r.at["x"].tobytes() for r in results}) == 1


def test_what_numpy_runs_is_found_again_and_the_code_is_kept(writings: list[str]) -> None:
    source = "var A = [[2, 1], [1, 3]]\ny = sum(exp(inv(A)))"
    found = [tp.parse(source, engine="native").derivatives() for _ in range(2)]
    assert writings == ["written", "compiled", "written"]
    assert found[0].gradient["A"].tobytes() == found[1].gradient["A"].tobytes()


def test_code_is_taken_only_for_the_text_that_it_was_made_of(
    writings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a layout is made again, it is that of the code, whatever the fingerprints say."""
    monkeypatch.setattr(fingerprint, "of", lambda *_: "the same")
    for source, value in (
        ("var A = [[2, 1], [1, 3]]\ny = sum(inv(A))", 0.6),
        ("var A = 4\nsum(solve([[2]], [A]))", 2.0),
    ):
        assert tp.parse(source, engine="native").derivatives().value == pytest.approx(value)
    assert writings == ["written", "compiled"] * 2


def test_large_tables_are_made_again(monkeypatch: pytest.MonkeyPatch, writings: list[str]) -> None:
    monkeypatch.setattr(layout, "MOST", 8)
    source = "var x = [1, 2, 3, 4]\nconst k = [4, 1, 1, 3]\ny = sum(x[k[i]]*i for i in 1..4)"
    found = [tp.parse(source, engine="native").derivatives() for _ in range(2)]
    assert writings == ["written", "compiled", "written"]
    assert found[0].gradient["x"].tolist() == found[1].gradient["x"].tolist() == [5, 0, 4, 1]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.tape")), ids=lambda path: path.stem)
def test_samples_are_the_same_from_the_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layouts come back as they were, and the same text has the same fingerprint."""
    made = [Trace(tp.load(path), None, 1)._traced()[0] for _ in range(2)]
    assert fingerprint.of(made[0], None) == fingerprint.of(made[1], None)
    assert text.written(made[0]).text == text.written(made[1]).text
    whole = text.written(made[0]).layout
    again, code = layout.unpacked(layout.packed(whole, "text", b"code"))
    assert code == b"code"
    if isinstance(again, str):
        assert again == cache.digest_of(b"text")
        assert any(step.what == "outside" for step in whole.steps)
        return
    for one, two in zip(whole.slots, again.slots, strict=True):
        assert one[:2] == two[:2]
        np.testing.assert_array_equal(one.content, two.content)
        assert one.content is None or one.content.dtype == two.content.dtype
    plain = whole._replace(slots=(), where={}, steps=tuple(s._replace(node=None) for s in whole.steps))
    assert again._replace(slots=()) == plain


PROGRAMS: dict[str, Callable[[], Any]] = {
    "base": lambda: traced(lambda x: ops.sum(x * 2.0), (4,)),
    "number": lambda: traced(lambda x: ops.sum(x * 3.0), (4,)),
    "shape": lambda: traced(lambda x: ops.sum(x * 2.0), (5,)),
    "precision": lambda: traced(lambda x: ops.sum(x * 2.0), (4,), dtype="float32"),
    "op": lambda: traced(lambda x: ops.max(x * 2.0), (4,)),
    "axes 0": lambda: traced(lambda x: ops.sum(x * 2.0, axis=0), (4, 4)),
    "axes 1": lambda: traced(lambda x: ops.sum(x * 2.0, axis=1), (4, 4)),
    "array": lambda: traced(lambda x: ops.sum(x * np.arange(4.0)), (4,)),
    "other array": lambda: traced(lambda x: ops.sum(x * np.array([0.0, 1.0, 2.0, 4.0])), (4,)),
    "minus zero": lambda: traced(lambda x: ops.maximum(x, -0.0), (4,)),
    "zero": lambda: traced(lambda x: ops.maximum(x, 0.0), (4,)),
    "large array": lambda: traced(lambda x: ops.sum(x * np.arange(400.0)), (400,)),
    "other large array": lambda: traced(lambda x: ops.sum(x * (np.arange(400.0) + (np.arange(400) == 7))), (400,)),
    "one of two": lambda: traced(lambda x, y: x * 2.0, (4,), (4,)),
    "the other": lambda: traced(lambda x, y: y * 2.0, (4,), (4,)),
    "minus": lambda: traced(lambda x, y: x - y, (4,), (4,)),
    "minus, turned": lambda: traced(lambda x, y: y - x, (4,), (4,)),
    "more results": lambda: trace(lambda x: [x * 2.0, x * 2.0], [Argument("x", (4,), None)], "float64"),
    "slope": lambda: trace(derive.gradient(lambda x: ops.sum(x * x), [0]), [Argument("x", (4,), None)], "float64"),
}


def loops() -> dict[str, Traced]:
    bodies = {"fold": "s*k", "another": "s + k", "a number": "s*k + 1"}
    sources = {name: f"var x = 2\nfold(s = x for k in 1..9 : {body})" for name, body in bodies.items()}
    sources["shorter"] = "var x = 2\nfold(s = x for k in 1..8 : s*k)"
    return {name: Trace(tp.parse(source), None, 1)._traced()[0] for name, source in sources.items()}


def test_programs_are_told_apart() -> None:
    programs = {name: make() for name, make in PROGRAMS.items()}
    found = {name: fingerprint.of(program, None) for name, program in programs.items()}
    assert len(set(found.values())) == len(found)
    forms = {fingerprint.of(programs["base"], form) for form in (None, (0, 0), (0, 1), (1, 0))}
    assert len(forms) == 4
    assert all(fingerprint.of(PROGRAMS[name](), None) == found[name] for name in PROGRAMS)


def test_recurrences_are_told_apart_by_their_bodies() -> None:
    found = loops()
    assert len({fingerprint.of(program, None) for program in found.values()}) == len(found)
    again = loops()
    assert all(fingerprint.of(found[name], None) == fingerprint.of(again[name], None) for name in found)


def test_a_parameter_of_an_unknown_kind_is_no_matter_of_silence() -> None:
    with pytest.raises(TypeError, match="fingerprint"):
        fingerprint._word(object())


def test_what_writes_machine_code_is_stamped() -> None:
    """Whatever is imported to write machine code is among the sources whose stamp a fingerprint has."""
    script = (
        "import sys, tapecli.engines.native.text\n"
        "from tapecli.engines.native import library, scatters, recurrences\n"
        "[library.function(name) for name in library.NAMES]\n"
        "from tapecli.engines.native.library import single\n"
        "print(' '.join({name.split('.')[1] for name in sys.modules if name.startswith('tapecli.')}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"engines", "ops", "recur"} <= loaded
    assert loaded <= fingerprint.SOURCES


def test_other_sources_make_another_program(writings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        tp.parse("var x = 2\nx*x", engine="native").derivatives()

    run()
    monkeypatch.setattr(fingerprint, "stamp", lambda: "newer sources")
    run()
    assert writings == ["written", "compiled"] * 2


def test_a_stamp_tells_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tapecli"
    (package / "engines" / "__pycache__").mkdir(parents=True)
    for name in ("core.py", "engines/a.py", "cli.py", "engines/__pycache__/a.pyc"):
        (package / name).write_text("x = 1")
    monkeypatch.setattr(fingerprint.core, "__file__", str(package / "core.py"))

    def stamp() -> str | None:
        fingerprint.stamp.cache_clear()
        monkeypatch.setattr(fingerprint.core, "IMPORTED", time.time_ns() + 10**9)
        return fingerprint.stamp()

    try:
        before = stamp()
        assert before is not None
        (package / "cli.py").write_text("other")
        (package / "engines/__pycache__/a.pyc").write_text("other")
        assert stamp() == before
        (package / "engines/a.py").write_text("x = 10")
        after = stamp()
        assert after != before
        (package / "engines/b.py").write_text("")
        assert stamp() != after
        archive = tmp_path / "app.pyz"
        archive.write_bytes(b"an archive")
        monkeypatch.setattr(fingerprint.core, "__file__", str(archive / "tapecli" / "core.py"))
        assert str(stamp()).startswith(f"{archive}:10:")
    finally:
        fingerprint.stamp.cache_clear()


def test_what_runs_is_not_taken_for_sources_that_changed_since(
    writings: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A process that began before its sources were replaced neither takes nor keeps what belongs to the new ones."""
    newest = max(path.stat().st_ctime_ns for path in Path(fingerprint.core.__file__).parent.rglob("*.py"))
    monkeypatch.setattr(fingerprint.core, "IMPORTED", newest - 1)
    monkeypatch.setattr(fingerprint, "SOURCES", frozenset(ROOMS))
    fingerprint.stamp.cache_clear()
    try:
        for _ in range(2):
            assert tp.parse("var x = 2\nx*x", engine="native").derivatives().engine == "native"
        assert writings == ["written", "compiled"] * 2
        assert not folder.exists()
    finally:
        fingerprint.stamp.cache_clear()


def test_only_from_the_cache(folder: Path) -> None:
    from tapecli.engines import native
    from tapecli.engines.repeated import Sizes

    program = traced(lambda x: x * 2.0, (3,))
    how = How(1)
    assert native.compiled(program, how, cached=True) is None
    assert native.compiled(program, how) is not None
    found = native.compiled(program, how, cached=True)
    assert found is not None and found.run(np.arange(3.0))[0].tolist() == [0, 2, 4]
    assert native.compiled(program, How(1, cache=False), cached=True) is None

    def step(x: Any) -> list[Any]:
        return [x + 1.0, 0.0]

    arguments = [Argument("x", (), None)]
    loop = trace(step, arguments, "float64")
    assert native.repeated(loop, Sizes(1, 0), how, cached=True) is None
    engines.repeat("native", Stepping(step, arguments), "float64", 5, how)
    kept = native.repeated(loop, Sizes(1, 0), how, cached=True)
    assert kept is not None and kept.run([np.float64(1.0)], 5).state[0] == 6.0
    assert len(list(folder.iterdir())) == 2
    assert cache.fetch("0" * 64) is None
