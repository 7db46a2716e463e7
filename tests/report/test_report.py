"""Numbers, texts and faults as they are written, and the files that they are written to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tapecli.errors import CODES, Place, Source, TapeError
from tapecli.problem.results import STOP_REASONS, Minimum
from tapecli.report import Report, Style, faults, numbers, output, progress, text, verdicts
from tapecli.report.encode import Encoder
from tapecli.report.tally import Outcome


class Kept:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_numbers_read_back_as_themselves() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    doubles = np.concatenate([bits[np.isfinite(bits)], [0.0, -0.0, 1e22, 5e-324, 0.1]])
    assert np.array_equal(json.loads(Encoder("float64").write(doubles, "")), doubles)
    bits32 = random.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    singles = np.concatenate([bits32[np.isfinite(bits32)], np.float32([0.0, -0.0, 0.1, 1e-45, 16777216.0])])
    written = Encoder("float32").write(singles, "")
    assert np.array_equal(np.float32(json.loads(written)), singles)
    assert Encoder("float32").write(np.float32(0.1), "") == "0.1"
    assert Encoder("float64").write(np.float64(np.float32(0.1)), "") == "0.10000000149011612"


def test_numbers_that_are_not_finite_are_named() -> None:
    encoder = Encoder("float64")
    fields = {"value": float("nan"), "gradient": {"x": np.array([1.0, -np.inf]), "A": np.array([[0.0, np.inf]])}}
    found = json.loads(encoder.object(fields, {"error": None}))
    assert found["value"] is None
    assert found["gradient"] == {"x": [1.0, None], "A": [[0.0, None]]}
    assert found["nonfinite"] == {"value": "nan", "gradient.x[2]": "-inf", "gradient.A[1, 2]": "inf"}
    assert list(found) == ["value", "gradient", "nonfinite", "error"]


@pytest.mark.parametrize(
    "value", [True, None, 3, 'a"b\n\x1b', "β", {"a": [1, 2.5]}, [], {}, np.array(2), np.zeros((0,))]
)
def test_other_values(value: object) -> None:
    expected = value.tolist() if isinstance(value, np.ndarray) else value
    written = Encoder(None).write(value, "")
    assert written.isascii()
    assert json.loads(written) == expected


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\tb\n", "a\\x09b\\x0a"),
        ("\u202eabc", "\\u202eabc"),
        ("é 漢", "é 漢"),
    ],
)
def test_control_characters_are_written_out(raw: str, shown: str) -> None:
    assert text.clean(raw) == shown


def test_a_file_name_that_is_no_text_can_be_printed() -> None:
    assert text.clean(os.fsdecode(b"a\xff")) == "a\\udcff"


def test_no_line_begins_like_a_workflow_command() -> None:
    assert text.guard("::error::x\n  ::set-output\na::b") == "\\x3a:error::x\n  \\x3a:set-output\na::b"


def test_widths() -> None:
    assert [text.width(word) for word in ("abc", "α", "漢字", "e\u0301")] == [3, 1, 4, 1]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (np.float64(1.0), ["1"]),
        (np.float64(-0.0), ["-0"]),
        (np.array([1.0, 2.5]), ["[1, 2.5]"]),
        (np.zeros((0,)), ["[]"]),
        (np.array([[1.0, 20.0], [3.0, -4.0]]), ["[1  20", " 3  -4]"]),
        (np.float64("nan"), ["nan"]),
    ],
)
def test_arrays_for_people(value: object, lines: list[str]) -> None:
    assert numbers.array(value, False) == lines


@pytest.mark.parametrize("shape", [(10_000,), (300, 400), (3, 400), (400, 3), (5, 6, 70)])
def test_large_arrays_are_short(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    lines = numbers.array(x, False, margin=6)
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 110
    assert numbers.ALL in lines[-1]


def test_a_large_array_counts_what_is_not_finite() -> None:
    x = np.arange(1000.0)
    x[5] = np.nan
    assert "from 0 to 999, 1 not finite" in numbers.array(x, False)[-1]


@pytest.mark.parametrize(
    ("x", "said"), [(2e-5, "20 µs"), (0.25, "250 ms"), (3.0, "3 s"), (200.0, "3 min 20 s"), (8000.0, "2 h 13 min")]
)
def test_durations(x: float, said: str) -> None:
    assert numbers.seconds(x) == said


def error_at(line: str, start: int, end: int, **more: str) -> TapeError:
    source = Source("model.tape", "first\n" * 6 + line + "\nlast\n")
    return TapeError("shape", "sizes differ", place=Place(source, 36 + start, 36 + end), **more)


def test_an_error_as_the_contract_has_it() -> None:
    error = error_at("y = A @ x", 6, 7, label="A has 4 columns, x has 3 entries", hint="use A' @ x")
    (fault,) = faults.of_error(error)
    assert faults.render(fault, "model.tape", "full", False).split("\n") == [
        "error[shape]: sizes differ",
        "  --> model.tape:7:7",
        "   |",
        " 7 | y = A @ x",
        "   |       ^ A has 4 columns, x has 3 entries",
        "   = help: use A' @ x",
    ]
    assert faults.render(fault, "", "concise", False) == "model.tape:7:7: shape: sizes differ"


def test_hostile_text_in_an_error() -> None:
    error = error_at("::error::\x1b[31mx", 9, 14)
    (fault,) = faults.of_error(error)
    for style in ("full", "concise"):
        shown = faults.render(fault, "m", style, False)
        assert "\x1b" not in shown
        assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))
    github = Fault("a,b:c%\nd")
    assert (
        faults.render(github, "x,y.tape", "github", False) == "::error title=tapecli name,file=x%2Cy.tape::a,b:c%25%0Ad"
    )


def Fault(message: str) -> faults.Fault:
    return faults.Fault("error", "name", message, None, None, None)


def test_errors_come_in_the_order_of_the_file() -> None:
    source = Source("m", "a b c")
    later = TapeError("name", "c", place=Place(source, 4, 5), more=[TapeError("name", "a", place=Place(source, 0, 1))])
    assert [fault.message for fault in faults.of_error(later)] == ["a", "c"]


def test_a_place_at_the_end_of_the_text() -> None:
    source = Source("m", "x +")
    (fault,) = faults.of_error(TapeError("syntax", "it ends", place=Place(source, 3, 3)))
    assert faults.render(fault, "m", "full", False).endswith(" 1 | x +\n   |    ^")


@pytest.mark.parametrize(
    ("codes", "files", "status"),
    [([0], 1, 0), ([3], 1, 3), ([0, 3], 2, 1), ([0, 70], 2, 70), ([130], 3, 130), ([], 2, 0)],
)
def test_the_status_of_a_run(codes: list[int], files: int, status: int) -> None:
    report = Report(Style("eval"), Kept(), Kept(), files)
    for code in codes:
        report.tally.add(Outcome("f", code, 0.0, ()))
    assert report.status() == status


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_an_error_is_its_status(code: str) -> None:
    report = Report(Style("eval"), Kept(), Kept())
    report.begin("f")
    report.error(TapeError(code, "message"))
    assert report.end() == CODES[code][0] == report.status()


def ended(reason: str, converged: bool = False, norm: float = 1.0) -> Minimum:
    x = {"x": np.float64(1.0)}
    return Minimum("y", "sgd", 5, 6, reason, converged, 2.0, x, norm, 0.1, 2.0, x, 1, "float64", "tape")


def test_the_status_of_a_minimisation() -> None:
    found = {reason: verdicts.of_minimum(ended(reason), False)[0] for reason in STOP_REASONS}
    assert found == {
        "steps": 0,
        "gradient_tolerance": 0,
        "value_tolerance": 0,
        "step_tolerance": 0,
        "target": 0,
        "max_evaluations": 5,
        "timeout": 5,
        "interrupted": 130,
        "nonfinite": 4,
        "stalled": 5,
    }
    assert verdicts.of_minimum(ended("steps"), True)[0] == 5
    assert verdicts.of_minimum(ended("steps"), False)[2] is not None
    assert verdicts.of_minimum(ended("steps", norm=1e-9), False)[2] is None
    assert verdicts.of_minimum(ended("gradient_tolerance", converged=True), True) == (0, None, None)


def test_the_curve() -> None:
    history = progress.History()
    for k in range(10_000):
        history.add(10.0 ** (-k / 1000))
    assert len(history.values) < progress.KEPT
    assert history.curve(8) == "█▇▆▅▄▃▂▁"
    assert progress.History().curve(8) == ""
    flat = progress.History()
    for value in (1.0, float("nan"), 1.0, float("inf")):
        flat.add(value)
    assert flat.curve(8) == "▁▁"


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with output.opened(str(path), False) as out:
        out.write("new\n")
        assert not path.exists()
    assert path.read_text() == "new\n"
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), output.opened(str(path), True) as out:
        out.write("half" + str(1 / 0))
    assert path.read_text() == "new\n"
    with pytest.raises(TapeError, match="exists already"), output.opened(str(path), False):
        pass
    with output.opened(str(path), True) as out:
        out.write("newer\n")
    assert path.read_text() == "newer\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with pytest.raises(TapeError, match="exists already"), output.opened(str(path), False):
        path.write_text("theirs\n")
    assert path.read_text() == "theirs\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with output.opened(str(link), True) as out:
        out.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_device_is_written_to() -> None:
    with output.opened(os.devnull, False) as out:
        out.write("gone")
    assert not os.path.isfile(os.devnull)
