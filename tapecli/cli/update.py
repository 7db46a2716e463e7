"""`check --update`: writes what came out into the `expect` lines of a file, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapecli.errors import TapeError
from tapecli.report.output import replaced, trouble

if TYPE_CHECKING:
    from tapecli.problem import Problem
    from tapecli.problem.results import Check
    from tapecli.problem.updating import Update

MARK = b"\xef\xbb\xbf"


def update(problem: Problem, found: Check, force: bool) -> Update:
    """Rewrites the file of a problem where that is possible; what was changed, and what was not."""
    planned = problem.updated(found)
    if not planned.changes:
        return planned
    path = problem.name
    if path.startswith("<"):
        return _left(planned, "it stands in no file")
    if not force and any(not d.ok for d in found.derivatives):
        return _left(planned, "a derivative check failed (--force rewrites all the same)")
    try:
        with open(path, "rb") as file:
            before = file.read()
    except OSError as error:
        raise trouble(path, "read", error) from None
    mark = MARK if before.startswith(MARK) else b""
    if before != mark + problem.source.text.encode():
        raise TapeError("file", f"{path} was changed while it was checked", hint="run the check again")
    replaced(path, mark + planned.text.encode())
    return planned


def _left(planned: Update, reason: str) -> Update:
    """Nothing is written, for one reason."""
    from tapecli.problem.updating import Skipped

    skipped = [*planned.skipped, *(Skipped(change.number, change.line, reason) for change in planned.changes)]
    return planned._replace(changes=(), skipped=tuple(sorted(skipped)))
