"""Compiles functions of lanes to functions of arrays, for this machine or for others of its kind."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapecli.engines.native import build
from tapecli.engines.native.host import host
from tapecli.engines.native.ir import FLOATS, Code, Val
from tapecli.engines.native.lanes import Lanes

Rule = Callable[..., Val]


class Kind(NamedTuple):
    """A processor: LLVM's name and features (None for this machine's own), bytes of its vectors, whether it
    has fused instructions, and the attributes of functions."""

    cpu: str | None
    features: str
    bytes: int
    fused: bool
    attributes: str


def own() -> Kind:
    """This machine."""
    machine = host()
    assert machine is not None
    return Kind(None, "", machine.bytes, machine.fused, machine.attributes)


BASELINE = Kind("x86-64", "", 16, False, "nounwind")
AVX2 = Kind("haswell", "", 32, True, "nounwind")


class _Module:
    """What `Code` asks a module for."""

    def __init__(self, kind: Kind) -> None:
        self.fused = kind.fused
        self.avx512 = kind.bytes == 64


def text_of(rules: dict[str, Rule], arity: dict[str, int], scalar: str, lanes: int, kind: Kind) -> str:
    """A module with a function `name(out, x, ..., n)` for each rule, over n entries, n a multiple of `lanes`."""
    module = _Module(kind)
    size = FLOATS[scalar][0] // 8
    functions, declared = [], set()
    for name, rule in rules.items():
        code = Code(module)
        code.label = "body"
        lines = [
            f'define void @"{name}"(ptr noalias %out, ptr %x0, ptr %x1, ptr %x2, i64 %n) {kind.attributes} {{',
            "entry:",
        ]
        lines += ["  br label %body"]
        code.lines = []
        args = []
        for k in range(arity[name]):
            at = code.emit(f"getelementptr {scalar}, ptr %x{k}, i64 %i", "ptr")
            wide = scalar if lanes == 1 else f"<{lanes} x {scalar}>"
            args.append(code.emit(f"load {wide}, ptr {at.name}, align {size}", scalar, lanes))
        b = Lanes(code, scalar, lanes, inline=True)
        y = b.lift(rule(b, *args))
        at = code.emit(f"getelementptr {scalar}, ptr %out, i64 %i", "ptr")
        code.do(f"store {y.typed}, ptr {at.name}, align {size}")
        code.do(f"%next = add i64 %i, {lanes}")
        code.do("%more = icmp slt i64 %next, %n")
        code.do("br i1 %more, label %body, label %exit")
        head = ["body:", f"  %i = phi i64 [ 0, %entry ], [ %next, %{code.label} ]"]
        functions.append("\n".join([*lines, *head, *code.lines, "exit:", "  ret void", "}"]))
        declared |= code.declared
    return "\n".join([*functions, *sorted(declared)]) + "\n"


def _machine(kind: Kind, triple: str | None) -> Any:
    """LLVM's code generator for a kind of machine."""
    import llvmlite.binding as llvm

    if kind.cpu is None and triple is None:
        return build.target_machine()
    if triple is None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple or llvm.get_process_triple())
    return target.create_target_machine(
        cpu=kind.cpu or "", features=kind.features, opt=1, codemodel="small", reloc="pic"
    )


def object_of(text: str, kind: Kind, triple: str | None = None) -> bytes:
    """The object file of a module."""
    machine = _machine(kind, triple)
    return bytes(machine.emit_object(build.optimised(text, machine)))


def assembly_for(text: str, kind: Kind, triple: str) -> str:
    """The machine code of a module for a machine of another kind, as people read it."""
    machine = _machine(kind, triple)
    return str(machine.emit_assembly(build.optimised(text, machine)))


class Compiled:
    """Functions of arrays by name."""

    def __init__(self, rules: dict[str, Rule], arity: dict[str, int], scalar: str, lanes: int, kind: Kind) -> None:
        self.text = text_of(rules, arity, scalar, lanes, kind)
        self._loaded = build.Jit(object_of(self.text, kind), list(rules))
        self._dtype = np.float64 if scalar == "double" else np.float32
        self._lanes = lanes

    def __call__(self, name: str, *args: Any) -> Any:
        """The function on arrays of one length."""
        arrays = [np.asarray(a, dtype=self._dtype) for a in args]
        n = arrays[0].size
        whole = -(-n // self._lanes) * self._lanes
        padded = [np.concatenate([a, np.full(whole - n, a[-1], self._dtype)]) for a in arrays]
        out = np.empty(whole, self._dtype)
        f = build.callable_at(self._loaded.address(name))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (out, *padded)]
        f(*pointers, *[ctypes.c_void_p(0)] * (4 - len(pointers)), ctypes.c_int64(whole))
        return out[:n]

    def bound(self, name: str, out: Any, arrays: Sequence[Any]) -> Callable[[], None]:
        """A call on given arrays, for timing."""
        f = build.callable_at(self._loaded.address(name))
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (out, *arrays)]
        pointers += [ctypes.c_void_p(0)] * (4 - len(pointers))
        size = ctypes.c_int64(out.size)
        return lambda: f(*pointers, size)


def runs(kind: Kind) -> bool:
    """Whether code for this kind of machine runs here."""
    import llvmlite.binding as llvm

    if kind.cpu is None:
        return True
    here = platform.machine().lower() in ("x86_64", "amd64")
    features = llvm.get_host_cpu_features()
    return here and (not kind.fused or (features.get("avx2", False) and features.get("fma", False)))
