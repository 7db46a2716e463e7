"""JSON with the shortest numbers that read back as the same value of the run's dtype."""

from __future__ import annotations

from math import isfinite
from typing import Any

try:
    from _json import encode_basestring_ascii as _quote  # the encoder alone: importing json costs a millisecond
except ImportError:  # another Python than CPython
    from json.encoder import encode_basestring_ascii as _quote


def number(x: float, single: bool) -> str:
    """A finite number as text."""
    if not single:
        return float.__repr__(x)  # also of NumPy's own float, whose repr says more
    from numpy import float32  # long there when this is called

    return str(float32(x))


class NotPlain(Exception):
    """`plain` leaves this to `Encoder`."""


def plain(x: Any, single: bool) -> str:
    """JSON text of what most results are made of, finite numbers above all, without keeping account of where they
    stand. Raises NotPlain for anything else."""
    kind = type(x)
    if kind is str:
        return str(_quote(x))
    if kind is dict:
        return "{" + ", ".join([f"{_quote(str(key))}: {plain(value, single)}" for key, value in x.items()]) + "}"
    if kind is bool or x is None:
        return "null" if x is None else "true" if x else "false"
    if kind is int:
        return repr(x)
    if kind is list or kind is tuple:
        return "[" + ", ".join([plain(value, single) for value in x]) + "]"
    if kind is float:
        text = number(x, single)
    elif hasattr(x, "tolist") and x.dtype.kind == "f" and not (single and x.ndim):
        text = repr(x.tolist()) if x.ndim else number(x.tolist(), single)
    else:
        raise NotPlain
    if "n" in text:  # nan or inf
        raise NotPlain
    return text


class Encoder:
    """Writes one object; numbers that are not finite become null, and their paths are kept in `nonfinite`."""

    __slots__ = ("nonfinite", "single")

    def __init__(self, dtype: str | None) -> None:
        self.single = dtype == "float32"
        self.nonfinite: dict[str, str] = {}

    def object(self, fields: dict[str, Any], extra: Any = None) -> str:
        """The fields as one line of JSON, then `nonfinite` where it is needed, then the fields of `extra`."""
        try:
            body = plain(fields, self.single)
        except NotPlain:
            body = self.write(fields, "")
        tail = {"nonfinite": self.nonfinite} if self.nonfinite else {}
        if extra:
            tail |= extra
        if tail:
            body = f"{body[:-1]}, {Encoder(None).write(tail, '')[1:]}"
        return body

    def write(self, x: Any, path: str) -> str:
        if isinstance(x, str):
            return str(_quote(x))
        if x is None or isinstance(x, bool):
            return "null" if x is None else "true" if x else "false"
        if isinstance(x, int):
            return repr(x)
        if isinstance(x, float):
            return self._float(x, path)
        if isinstance(x, dict):
            dot = path + "." if path else ""
            items = (f"{_quote(str(key))}: {self.write(value, f'{dot}{key}')}" for key, value in x.items())
            return "{" + ", ".join(items) + "}"
        if hasattr(x, "tolist"):
            return self._array(x, path)
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(self.write(value, f"{path}[{i}]") for i, value in enumerate(x, 1)) + "]"
        return str(_quote(str(x)))

    def _float(self, x: float, path: str) -> str:
        if isfinite(x):
            return number(x, self.single)
        self.nonfinite[path] = "nan" if x != x else "inf" if x > 0 else "-inf"
        return "null"

    def _array(self, x: Any, path: str) -> str:
        """Nested lists; entries that are not finite are named with indices from 1, as in the formula language."""
        items = x.tolist()
        if not isinstance(items, list):
            return self.write(float(items) if x.dtype.kind == "f" else items, path)
        if x.dtype.kind != "f":
            return self.write(items, path)
        if not self.single:
            text = repr(items)
            if "n" not in text:  # neither nan nor inf: what Python writes is JSON
                return text
        return self._nested(items, path, "")

    def _nested(self, items: list[Any], path: str, index: str) -> str:
        parts = []
        for i, item in enumerate(items, 1):
            at = f"{index}, {i}" if index else str(i)
            inner = isinstance(item, list)
            parts.append(self._nested(item, path, at) if inner else self._float(item, f"{path}[{at}]"))
        return "[" + ", ".join(parts) + "]"
