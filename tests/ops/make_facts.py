"""Writes facts.json: exact values and derivatives of every op, by mpmath. Run by hand where ops or points change.

    python tests/ops/make_facts.py

Each fact is `[arguments, value, first derivatives, second derivatives row by row, sizes]` as hexadecimal numbers. An
error of a result that is a difference counts in ULP of its greatest term, which `sizes` holds (in the same order, the
value first; empty where there is none).
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import grids
import numpy as np
from oracle import exact, known

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli.core import TABLE

DRAWN = 18


def rounded(x: Any) -> str:
    return float(x).hex()


def fact(name: str, params: dict[str, Any], args: tuple[float, ...]) -> list[Any]:
    value, first, second, scale = exact(name, params, args)
    sizes = [rounded(s) for s in scale] if any(scale) else []
    return [[a.hex() for a in args], rounded(value), [rounded(d) for d in first], [rounded(d) for d in second], sizes]


def main() -> None:
    lines = []
    for name, op in sorted(TABLE.items()):
        if op.kind != "elementwise" or not op.points or not known(name):
            continue
        for params in grids.PARAMS.get(name, [{}]):
            rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
            points = [*op.points, *grids.HARD.get(name, []), *grids.arguments(name, len(op.points[0]), rng, DRAWN)]
            facts = [fact(name, params, point) for point in points]
            record = {"op": name, "params": params, "order": grids.order(name, params), "facts": facts}
            lines.append(json.dumps(record, separators=(",", ":")))
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    Path(__file__).with_name("facts.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
