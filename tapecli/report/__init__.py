"""How results, warnings and errors reach people and programs. One `Report` counts, speaks and owns the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tapecli.errors import TapeError
from tapecli.report.tally import Outcome, Tally
from tapecli.report.text import clean, count, guard

if TYPE_CHECKING:
    from tapecli.problem import Problem
    from tapecli.problem.differentiating import Derivation
    from tapecli.problem.evaluations import Derivatives, Evaluation
    from tapecli.problem.results import Check, Fit, Minimum, Step
    from tapecli.problem.sparse import Coordinates
    from tapecli.problem.timing import Bench
    from tapecli.problem.updating import Update
    from tapecli.report.batch import Batch
    from tapecli.report.documents import Document
    from tapecli.report.faults import Fault
    from tapecli.report.log import Log
    from tapecli.report.output import Sink
    from tapecli.report.plots import Plot
    from tapecli.report.progress import Progress
    from tapecli.report.verdicts import Case

#: exit statuses beyond those of errors' codes
BUG = 70
INTERRUPTED = 130
TERMINATED = 143


class Style:
    """How to speak: chosen once per run, from the options."""

    __slots__ = ("color_err", "color_out", "command", "format", "json", "quiet", "verbose")

    def __init__(
        self,
        command: str,
        *,
        json: bool = False,
        format: str = "full",
        quiet: bool = False,
        verbose: bool = False,
        color_out: bool = False,
        color_err: bool = False,
    ) -> None:
        self.command = command
        self.json = json
        self.format = format
        self.quiet = quiet
        self.verbose = verbose
        self.color_out = color_out
        self.color_err = color_err

    @property
    def is_document(self) -> bool:
        """Whether what was found is written as one document, and nothing beside it."""
        return self.format in ("junit", "sarif")


class Report:
    """Says what came out, file by file, and remembers how it went. `files` is how many there are."""

    def __init__(self, style: Style, out: Sink, err: Sink, files: int = 1) -> None:
        self.style = style
        self.out = out
        self.err = err
        self.files = files
        self.many = files > 1
        #: the file that is being told about, or "" between two of them
        self.file = ""
        #: why files were left out, where some were
        self.stopped: str | None = None
        self.tally = Tally(files)
        self.outcome = Outcome("", 0, 0.0, ())
        self._code = 0
        self._faults: list[Fault] = []
        self._cases: list[Case] = []
        self._document: Document | None = None
        self._joined = False
        #: how many files came before the first of this report
        self.first = 0
        self._headed = False
        self._spoke = False
        self._warnings: list[Fault] = []
        self.log: Log | None = None
        self.progress: Progress | None = None
        self.plot: Plot | None = None
        self.batch: Batch | None = None
        if style.is_document:
            from tapecli.report.documents import DOCUMENTS

            self._document = DOCUMENTS[style.format]

    # the files, one after another

    def begin(self, file: str) -> None:
        """What follows is about `file`."""
        self.file = file
        self._code = 0
        self._faults = []
        self._cases = []
        self._headed = False
        self._warnings = []

    def end(self, seconds: float = 0.0) -> int:
        """The exit status of the file that `begin` named, which took so long."""
        reasons = [fault.code for fault in self._faults if fault.severity == "error"]
        if self._document is not None:
            self._fragment(self._written(self._document, seconds))
        self._count(Outcome(self.file, self._code, seconds, reasons))
        self.out.flush()
        self.file = ""
        return self._code

    def cut(self) -> Outcome:
        """A signal ended the work on a file: what is left of it is told where there is a document."""
        outcome = Outcome(self.file, INTERRUPTED, 0.0, ("interrupted",))
        if self._document is not None:
            self._code = INTERRUPTED
            self._fragment(self._written(self._document, 0.0))
        return outcome

    def interrupt(self, status: int) -> None:
        """A signal ended the run: the file in hand is told about, and the run ends with `status`."""
        self.stopped = "interrupted"
        if self.file:
            self._count(self.cut())
            self.file = ""
        self.tally.worst = max(self.tally.worst, status)

    def _count(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.tally.add(outcome)
        if self.batch is not None:
            self.batch.update(self.tally)

    def _written(self, document: Document, seconds: float) -> str:
        """What the document says of the file; where nothing but the file was tried, that is the one case."""
        from tapecli.report.verdicts import Case

        errors = [fault for fault in self._faults if fault.severity == "error"]
        if not self._cases or (errors and not any(case.faults for case in self._cases)):
            failed = "failed" if self._code == 1 else "error"
            said = "interrupted" if self._code >= INTERRUPTED else ""
            self._cases.append(Case(self.style.command, failed if self._code else "passed", errors, said))
        number = self.first + self.tally.done
        return document.fragment(self.style.command, self.file, number, self._cases, self._faults, seconds)

    def _fragment(self, text: str) -> None:
        if text and self._document is not None:
            from tapecli.report.output import Held

            if self.batch is not None:
                self.batch.clear(False)
            with Held():
                self.out.write((self._document.joint if self._joined else "") + text)
                self._joined = True
                self.out.flush()

    def begin_document(self) -> None:
        """What stands before the first file."""
        if self._document is not None:
            self.out.write(self._document.head(self.style.command))

    def absorb(self, outcome: Outcome, parts: Sequence[tuple[bool, str]]) -> None:
        """What another process said about one file, its texts with whether they are for standard error."""
        for problem in {problem for problem, _ in parts}:
            self._clear(problem)
        if self._document is not None:
            self._fragment("".join(text for problem, text in parts if not problem))
            parts = [part for part in parts if part[0]]
        for problem, text in parts:
            if problem:
                self.out.flush()
                self.err.write(text)
                self.err.flush()
            else:
                self.out.write(text)
        self.out.flush()
        self._count(outcome)

    def status(self) -> int:
        """The exit status of the whole run."""
        worst = self.tally.worst
        if worst >= BUG or not self.many:
            return worst
        return 1 if worst else 0

    def finish(self) -> None:
        """The last word, where there were several files."""
        if self._document is not None:
            command, early = self.style.command, self._early()
            last = self._document.last(command, self.tally.done, self.status(), early) if early else ""
            self._fragment(last)
            self.out.write(self._document.tail(self.status(), early))
        if self.batch is not None:
            self.batch.close()
        if self.many and not self.style.quiet and self.tally.done and (self.batch is not None or not self.style.json):
            self.tell("\n".join(self.tally.lines(self.style.color_err, self.stopped)) + "\n")

    def _early(self) -> str | None:
        """Why a run ended before its last file, for a document."""
        if self.stopped is None:
            return None
        left = self.tally.total - self.tally.done
        said = f": {left:,} of {count(self.tally.total, 'file')} left out" if left else ""
        return f"the run ended early ({self.stopped}){said}"

    def failed(self) -> bool:
        """Whether the file that is being told about has failed so far."""
        return self._code != 0

    def watcher(self, row: int | None) -> Callable[[Step], None] | None:
        """What a minimisation calls at each step, or None where nobody looks on."""
        curve = None if self.plot is None else self.plot.curve
        if self.log is None and self.progress is None and curve is None:
            return None
        from tapecli.report.watch import Watch

        return Watch(self.log, self.progress, curve, row)

    # speaking

    def _clear(self, problem: bool) -> None:
        """Nothing of a display stands where text is about to come."""
        if self.progress is not None:
            self.progress.close()
        if self.batch is not None:
            self.batch.clear(problem)

    def say(self, text: str) -> None:
        """To standard output, or what stands for it."""
        self._clear(False)
        self.out.write(guard(text))

    def tell(self, text: str) -> None:
        """To standard error, after what was said so far."""
        self._clear(True)
        self.out.flush()
        self.err.write(text if self.style.format == "github" else guard(text))
        self.err.flush()

    def fault(self, fault: Fault) -> None:
        from tapecli.report.faults import render

        if self.style.format not in ("concise", "github"):  # an empty line stands between two of them
            self.tell("\n" if self._spoke else "")
            self._spoke = True
        self._faults.append(fault)
        self.tell(render(fault, self.file, self.style.format, self.style.color_err) + "\n")

    def warn(self, fault: Fault) -> None:
        """A warning: to standard error, and into the next object of JSON."""
        self._warnings.append(fault)
        if not self.style.quiet:
            self.fault(fault)
        else:
            self._faults.append(fault)

    def warning(self, warning: TapeError) -> None:
        """A warning that the formula itself gives rise to."""
        from tapecli.report.faults import of_error

        for fault in of_error(warning, "warning"):
            self.warn(fault)

    def detail(self, text: str) -> None:
        """Something that -v asks for."""
        if self.style.verbose and not self.style.quiet:
            self.tell(f"{text}\n")

    def error(self, error: TapeError, row: int | None = None, code: int | None = None) -> None:
        """The file, or a row of its points, failed before there was a result."""
        self._code = max(self._code, error.exit_code if code is None else code)
        if self.style.json:
            self._object({}, None, False, error, row)
        self._tell_error(error)

    def _tell_error(self, error: TapeError) -> None:
        from tapecli.report.faults import of_error

        for fault in of_error(error):
            self.fault(fault)

    # results

    def evaluation(self, r: Evaluation, row: int | None, blame: TapeError | None) -> None:
        from tapecli.report import records, shown

        fields = records.of_evaluation(r) if self.style.json else {}
        self._result(fields, lambda: shown.of_evaluation(r), r, row, blame)

    def derivatives(self, r: Derivatives, row: int | None, blame: TapeError | None) -> None:
        from tapecli.report import records, shown

        fields = records.of_derivatives(r) if self.style.json else {}
        self._result(fields, lambda: shown.of_derivatives(r), r, row, blame)

    def coordinates(
        self, kind: str, r: Derivatives | Evaluation, m: Coordinates, row: int | None, blame: TapeError | None
    ) -> None:
        """A matrix in coordinates: Matrix Market for people and programs, or fields of the JSON object."""
        from tapecli.problem import sparse
        from tapecli.report import records
        from tapecli.report.faults import Fault

        if not m.exact:
            what = "the pattern was too large to be kept exactly, so some entries that are listed may always be 0"
            self.warn(
                Fault(
                    "warning",
                    "sparse",
                    what,
                    None,
                    None,
                    "pick the entries before a running sum or product, not after it",
                )
            )
        fields = records.of_coordinates(kind, r, m, sparse.as_dict(m)) if self.style.json else {}
        self._result(fields, lambda: sparse.matrix_market(m).splitlines(), r, row, blame)

    def minimum(self, r: Minimum, row: int | None, tolerance_asked: bool) -> None:
        from tapecli.report import records, shown, verdicts

        for note in r.notes:
            self.warn(verdicts.remark(note))
        code, error, warning = verdicts.of_minimum(r, tolerance_asked)
        if warning is not None:
            self._warnings.append(warning)
        fields = records.of_minimum(r) if self.style.json else {}
        sentence = r.ending
        self._result(fields, lambda: shown.of_minimum(r, sentence), r, row, error, code)
        if warning is not None and not self.style.quiet:
            self.fault(warning)

    def fit(self, r: Fit, row: int | None, tolerance_asked: bool) -> None:
        from tapecli.report import fits, verdicts

        for note in r.minimum.notes:
            self.warn(verdicts.remark(note))
        code, error, warning = verdicts.of_minimum(r.minimum, tolerance_asked)
        if warning is not None:
            self._warnings.append(warning)
        fields = fits.record(r) if self.style.json else {}
        sentence = r.minimum.ending
        self._result(fields, lambda: fits.lines(r, sentence), r, row, error, code)
        if warning is not None and not self.style.quiet:
            self.fault(warning)

    def picture(self, problem: Problem, r: Minimum | Fit) -> None:
        """The plot of a run, where one is asked for; the result itself has been told."""
        if self.plot is None:
            return
        try:
            if self.plot.terminal:
                from tapecli.report.progress import unicode_works

                lines = self.plot.lines(problem, r, unicode_works(sys.stderr if self.style.json else sys.stdout))
                (self.tell if self.style.json else self.say)("\n".join(lines) + "\n")
            else:
                self.plot.write(problem, r, self.file)
        except TapeError as error:
            self._beside(error)

    def settle(self) -> None:
        """The log of the run, where one is asked for, is written as far as it goes."""
        if self.log is not None:
            try:
                self.log.settle()
            except TapeError as error:
                self._beside(error)

    def _beside(self, error: TapeError) -> None:
        """The result has been told, but not all that was to be written with it could be."""
        self._code = max(self._code, error.exit_code)
        self._tell_error(error)

    def check(self, r: Check, row: int | None, update: Update | None = None) -> None:
        from tapecli.report import records, shown, verdicts

        tried = verdicts.of_check(r, update)
        faults = [fault for one in tried for fault in one.faults]
        fields = records.of_check(r, update) if self.style.json else {}
        code = verdicts.NO if faults else 0
        self._result(fields, lambda: shown.of_check(r, self.style.color_out, update), r, row, None, code)
        for one in tried:
            self._cases.append(one if row is None else one.named(f"row {row}, {one.name}"))
        for fault in faults:
            self.fault(fault)

    def trace(self, stage: str, text: str, results: list[Derivatives], traces: int, blame: TapeError | None) -> None:
        """What a formula was traced to, and the calls that were made of the result."""
        from tapecli.report import shown

        dtype = results[0].dtype if results else None
        fields: dict[str, Any] = {}
        if self.style.json:
            calls = [{"at": r.at, "value": r.value, "gradient": r.gradient} for r in results]
            fields = {"of": results[0].of, "dtype": dtype, "engine": results[0].engine} if results else {}
            fields |= {"show": stage, "text": text, "calls": calls, "traces": traces}

        def lines() -> list[str]:
            body = [clean(line) for line in text.rstrip("\n").split("\n")]
            return [*body, "", *shown.of_calls(results, traces, dtype == "float32")]

        self._result(fields, lines, results[0] if results else None, None, blame)

    def derivation(self, r: Derivation, row: int | None) -> None:
        """Derivatives as formulas. The text of one file is written as it is, to be saved and run."""
        fields: dict[str, Any] = {}
        if self.style.json:
            fields = {"of": r.of, "order": r.order, "as": r.form, "bindings": r.bindings, "formulas": r.formulas}
            fields["text"] = r.text
        self._result(fields, lambda: [clean(line) for line in r.text.rstrip("\n").split("\n")], None, row, None)

    def bench(self, r: Bench, row: int | None, blame: TapeError | None) -> None:
        from tapecli.report import records, shown

        fields = records.of_bench(r) if self.style.json else {}
        self._result(fields, lambda: shown.of_bench(r), r, row, blame)

    def functions(self, functions: Sequence[tuple[str, str, str, str]]) -> None:
        """The functions of the language."""
        from tapecli.report import shown

        if self.style.json:
            keys = ("name", "signature", "help", "derivative")
            rows = [dict(zip(keys, function, strict=True)) for function in functions]
            self._object({"functions": rows}, None, True, None, None)
        else:
            self.say("\n".join(shown.of_functions(functions)) + "\n")

    def explanations(self, codes: Sequence[str], brief: bool) -> None:
        """What codes of errors mean: at length, or a line each."""
        from tapecli.errors import CODES
        from tapecli.explanations import EXPLANATIONS, text_of

        if self.style.json:
            rows = [
                {"code": code, "exit": CODES[code][0], "help": CODES[code][1], **EXPLANATIONS[code]._asdict()}
                for code in codes
            ]
            for row in rows:
                row["before"] = dict(row["before"])
            self._object({"codes": rows}, None, True, None, None)
        elif brief:
            self.say("".join(f"{code:12s} {CODES[code][0]:3d}  {CODES[code][1]}\n" for code in codes))
        else:
            self.say("\n".join(map(text_of, codes)))

    def _result(
        self,
        fields: dict[str, Any],
        lines: Any,
        r: Any,
        row: int | None,
        error: TapeError | None,
        code: int | None = None,
    ) -> None:
        """One result: as JSON, or as the text that `lines()` makes; its error, if any, goes with it."""
        if code is None:
            code = error.exit_code if error is not None else 0
        self._code = max(self._code, code)
        if self.style.verbose and r is not None:
            self.detail(f"engine {r.engine}, {r.dtype}{self._point(r, ', at ')}")
        if self.style.json:
            self._object(fields, getattr(r, "dtype", None), code == 0, error, row)
        elif self._document is None:
            self._text(lines(), r, row)
        if error is not None:
            self._tell_error(error)

    def _object(
        self, fields: dict[str, Any], dtype: str | None, ok: bool, error: TapeError | None, row: int | None
    ) -> None:
        from tapecli.report.encode import Encoder
        from tapecli.report.faults import as_json, of_error

        head: dict[str, Any] = {"schema": 1, "command": self.style.command}
        if self.file:
            head["file"] = self.file
        if row is not None:
            head["row"] = row
        tail: dict[str, Any] = {}
        if error is not None:
            errors = [as_json(fault) for fault in of_error(error)]
            tail["error"] = errors[0]
            if len(errors) > 1:
                tail["errors"] = errors
        if self._warnings:
            tail["warnings"] = [as_json(fault) for fault in self._warnings]
            self._warnings = []
        if self.batch is not None:
            self.batch.clear(False)
        self.out.write(Encoder(dtype).object(head | {"ok": ok} | fields, tail) + "\n")

    def _text(self, lines: list[str], r: Any, row: int | None) -> None:
        """Lines for people, below the file and the row that they are about."""
        if row is not None:
            lines = [f"row {row}{self._point(r, ': ') if r is not None else ''}", *_indented(lines)]
        if self.many:
            head = [] if self._headed else [clean(self.file)]
            self._headed = True
            lines = [*head, *_indented(lines)]
        self.say("\n".join(lines) + "\n")

    def _point(self, r: Any, before: str) -> str:
        """The point that the result is of; that of a minimum is told with its value."""
        from tapecli.report.shown import point

        return "" if hasattr(r, "stop_reason") or not r.at else before + point(r.at, r.dtype == "float32")


def _indented(lines: list[str]) -> list[str]:
    return ["  " + line if line else "" for line in lines]
