"""A slow reading of tables, character by character, written apart from the package's readers, to hold them against."""

from __future__ import annotations

DIGITS = "0123456789"


def number(cell: str) -> float | None:
    """The number that a cell is, or None."""
    rest = cell[1:] if cell[:1] in ("+", "-") else cell
    if rest.lower() not in ("inf", "nan"):
        mantissa, sign, exponent = rest.replace("E", "e").partition("e")
        whole, _, part = mantissa.partition(".")
        if not (whole + part) or any(c not in DIGITS for c in whole + part):
            return None
        if sign:
            exponent = exponent[1:] if exponent[:1] in ("+", "-") else exponent
            if not exponent or any(c not in DIGITS for c in exponent):
                return None
    return float(cell)


def rows(text: str, delimiter: str) -> list[tuple[int, list[str], str]]:
    """(line, cells, kind) of every row; a kind is whole, blank, or open (a quote stays open)."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    pad = " " if delimiter == "\t" else " \t"
    found, cells, raw, value = [], [], "", ""
    state, line, first, quotes = "start", 1, 1, 0
    for c in [*text, "\0"]:
        quotes += c == '"'
        if state == "quoted":
            if c == "\0":
                found.append((first, [*cells, raw], "open"))
                break
            raw += c
            line += c == "\n"
            if c == '"':
                state = "after"
            else:
                value += c
            continue
        if state == "after" and c == '"':
            raw, value, state = raw + c, value + c, "quoted"
            continue
        if state == "after" and c in pad:
            state = "closed"
        if c in (delimiter, "\n", "\0"):
            if c != "\0" or cells or raw:
                cells.append((value if state in ("after", "closed") else raw).strip(pad))
            if c != delimiter and cells:
                found.append((first, cells, "blank" if cells == [""] and not quotes else "whole"))
                cells, quotes = [], 0
            if c == "\n":
                line += 1
                first = line
            raw, value, state = "", "", "start"
        elif state == "start" and c == '"':
            raw, state = raw + c, "quoted"
        elif state in ("start", "closed") and c in pad:
            raw += c
        else:
            raw, state = raw + c, "plain"
    while found and found[-1][2] == "blank":
        found.pop()
    return found


def columns(text: str, delimiter: str, used: list[str], drop: bool) -> tuple[object, ...]:
    """("numbers", columns, dropped) or ("fault", line, column, cell, how many); the first row is one of headers."""
    table = rows(text, delimiter)
    while table[0][2] == "blank":
        table.pop(0)
    headers, width = table[0][1], len(table[0][1])
    places = sorted({headers.index(one) for one in used})
    values: dict[int, list[float]] = {i: [] for i in places}
    faults: list[tuple[int, str | None, str]] = []
    dropped = 0
    for line, cells, kind in table[1:]:
        if kind == "blank" and width > 1:
            continue
        if kind == "open" or len(cells) != width:
            faults.append((line, None, kind))
        elif drop and any(cells[i] == "" for i in places):
            dropped += 1
        else:
            for i in places:
                known = number(cells[i])
                if known is None:
                    faults.append((line, headers[i], cells[i]))
                else:
                    values[i].append(known)
    if faults:
        return ("fault", *faults[0], len(faults))
    return "numbers", [values[headers.index(one)] for one in used], dropped
