"""What the machine is that code is made for."""

from __future__ import annotations

import platform

from tapecli.records import NamedTuple


class Host(NamedTuple):
    """`bytes` is the width of its vectors; `key` names all that compiled code depends on; `attributes` are put on every
    function; `fused` says whether it has instructions for `x*y + z` with one rounding, `avx512` whether it has those
    that look up tables in registers and take numbers apart."""

    bytes: int
    key: str
    attributes: str
    fused: bool
    avx512: bool


def host() -> Host | None:
    """The present machine by NumPy's own look at it; None where it is of a kind that nothing was tried on."""
    from numpy._core._multiarray_umath import __cpu_features__ as features  # type: ignore[import-not-found]

    machine = platform.machine().lower()
    has = sorted(name for name, there in features.items() if there)
    key = " ".join([platform.system(), machine, *has])
    if machine in ("x86_64", "amd64"):
        if all(f in has for f in ("AVX512F", "AVX512DQ", "AVX512VL")):
            wide = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'
            return Host(64, key, wide + " nounwind", True, True)
        modern = "AVX2" in has and "FMA3" in has
        return Host(32 if modern else 16, key, "nounwind", modern, False)
    if machine in ("aarch64", "arm64"):
        return Host(16, key, "nounwind", True, False)
    return None
