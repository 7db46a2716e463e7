"""LLVM's text form, written instruction by instruction: `Code` is a function's body, `Val` a value in it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from zlib import crc32

#: float type -> (bits, the integer type of the same width)
FLOATS = {"double": (64, "i64"), "float": (32, "i32")}


def bits_of(value: float, scalar: str) -> str:
    """A float constant as LLVM reads it: the bits of the double that it is exactly."""
    if scalar == "float":
        try:
            (value,) = struct.unpack("<f", struct.pack("<f", value))
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


@lru_cache(maxsize=2)
def _here(trait: str) -> bool:
    """A trait of this machine."""
    from tapecli.engines.native.host import host

    return bool(getattr(host(), trait, False))


#: Instructions that are not the same when they stand a second time.
IMPURE = ("load", "alloca", "phi")


class Val:
    """An SSA value or a constant: `name` as it stands in the text, `scalar` its type per lane, `lanes` how many."""

    __slots__ = ("code", "lanes", "name", "scalar")

    def __init__(self, code: Code, name: str, scalar: str, lanes: int) -> None:
        self.code = code
        self.name = name
        self.scalar = scalar
        self.lanes = lanes

    @property
    def type(self) -> str:
        return self.scalar if self.lanes == 1 else f"<{self.lanes} x {self.scalar}>"

    @property
    def typed(self) -> str:
        return f"{self.type} {self.name}"

    @property
    def floating(self) -> bool:
        return self.scalar in FLOATS

    def _with(self, other: Any) -> Val:
        return other if isinstance(other, Val) else self.code.constant(other, self.scalar, self.lanes)

    def _binary(self, other: Any, on_floats: str, on_ints: str, swapped: bool = False) -> Val:
        x, y = (self._with(other), self) if swapped else (self, self._with(other))
        operation = on_floats if self.floating else on_ints
        return self.code.emit(f"{operation} {x.type} {x.name}, {y.name}", self.scalar, self.lanes)

    def __add__(self, other: Any) -> Val:
        return self._binary(other, "fadd", "add")

    def __radd__(self, other: Any) -> Val:
        return self._binary(other, "fadd", "add", swapped=True)

    def __sub__(self, other: Any) -> Val:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Any) -> Val:
        return self._binary(other, "fsub", "sub", swapped=True)

    def __mul__(self, other: Any) -> Val:
        return self._binary(other, "fmul", "mul")

    def __rmul__(self, other: Any) -> Val:
        return self._binary(other, "fmul", "mul", swapped=True)

    def __truediv__(self, other: Any) -> Val:
        return self._binary(other, "fdiv", "sdiv")

    def __rtruediv__(self, other: Any) -> Val:
        return self._binary(other, "fdiv", "sdiv", swapped=True)

    def __neg__(self) -> Val:
        if self.floating:
            return self.code.emit(f"fneg {self.typed}", self.scalar, self.lanes)
        return 0 - self

    def __and__(self, other: Any) -> Val:
        return self._binary(other, "and", "and")

    def __or__(self, other: Any) -> Val:
        return self._binary(other, "or", "or")

    def __xor__(self, other: Any) -> Val:
        return self._binary(other, "xor", "xor")

    def __lshift__(self, other: Any) -> Val:
        return self._binary(other, "shl", "shl")

    def __rshift__(self, other: Any) -> Val:
        """The logical shift of integers."""
        return self._binary(other, "lshr", "lshr")

    def __invert__(self) -> Val:
        return self ^ -1

    def _compared(self, other: Any, on_floats: str, on_ints: str) -> Val:
        y = self._with(other)
        operation = f"fcmp {on_floats}" if self.floating else f"icmp {on_ints}"
        return self.code.emit(f"{operation} {self.type} {self.name}, {y.name}", "i1", self.lanes)

    def __lt__(self, other: Any) -> Val:
        return self._compared(other, "olt", "slt")

    def __le__(self, other: Any) -> Val:
        return self._compared(other, "ole", "sle")

    def __gt__(self, other: Any) -> Val:
        return self._compared(other, "ogt", "sgt")

    def __ge__(self, other: Any) -> Val:
        return self._compared(other, "oge", "sge")

    def eq(self, other: Any) -> Val:
        """A mask; false where a float is nan."""
        return self._compared(other, "oeq", "eq")

    def ne(self, other: Any) -> Val:
        """A mask; true where a float is nan."""
        return self._compared(other, "une", "ne")

    def above(self, other: Any) -> Val:
        """Whether an integer is greater, both read without sign."""
        return self._compared(other, "ogt", "ugt")


class Code:
    """The body of one function: lines of text, fresh names, and the label of the block that is being written."""

    def __init__(self, module: Any = None) -> None:
        self.lines: list[str] = []
        self.module = module
        self.label = "entry"
        self._names = count(1)
        self._known: dict[Any, Any] = {}
        self.declared: set[str] = set()

    def part(self, label: str) -> Code:
        """Another stretch of the same function, beginning in the block `label`."""
        part = Code(self.module)
        part.label, part._names, part.declared = label, self._names, self.declared
        return part

    def append(self, part: Code) -> None:
        """A stretch that was written apart."""
        self.lines += part.lines
        self.label = part.label

    def fresh(self, stem: str = "v") -> str:
        return f"{stem}{next(self._names)}"

    def emit(self, text: str, scalar: str, lanes: int = 1) -> Val:
        """An instruction with a result. One that only computes is written once: the same again has the same result."""
        known = self._known.get(text)
        if known is not None:
            return Val(self, known, scalar, lanes)
        name = f"%{self.fresh()}"
        self.lines.append(f"  {name} = {text}")
        if not text.startswith(IMPURE) and "@llvm.masked" not in text:
            self._known[text] = name
        return Val(self, name, scalar, lanes)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, or what it gave before in this stretch of code. For what has branches of its own."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {text}")

    def block(self, label: str, known: dict[Any, Any] | None = None) -> None:
        """Begins a block; `known` is what was computed in blocks that always come before it."""
        self.lines.append(f"{label}:")
        self.label = label
        self._known = dict(known or {})

    def declare(self, text: str) -> None:
        """Declares a function of LLVM's own, once per module."""
        self.declared.add(text)

    def words(self, name: str, values: Sequence[int]) -> Val:
        """The address of a constant array of 64-bit integers, which the module has once."""
        size = len(values)
        listed = ", ".join(f"i64 {(v + 2**63) % 2**64 - 2**63}" for v in values)
        self.declare(f"@{name} = internal unnamed_addr constant [{size} x i64] [{listed}]")
        return Val(self, f"@{name}", "ptr", 1)

    def doubles(self, values: Sequence[float]) -> Val:
        """The address of a constant array of doubles; arrays of the same content are one."""
        listed = ", ".join(f"double {bits_of(v, 'double')}" for v in values)
        name = f"@table.{crc32(listed.encode()):08x}"
        self.declare(f"{name} = internal unnamed_addr constant [{len(values)} x double] [{listed}], align 64")
        return Val(self, name, "ptr", 1)

    @property
    def fused(self) -> bool:
        """Whether the processor that the code is for has instructions for `x*y + z` with one rounding."""
        return self._has("fused")

    @property
    def avx512(self) -> bool:
        """Whether it has those that look up tables in registers and take numbers apart."""
        return self._has("avx512")

    def _has(self, trait: str) -> bool:
        known = getattr(self.module, trait, None)
        return _here(trait) if known is None else bool(known)

    def constant(self, value: Any, scalar: str, lanes: int = 1) -> Val:
        """A number in every lane."""
        if scalar in FLOATS:
            text = bits_of(float(value), scalar)
        elif scalar == "i1":
            text = "true" if value else "false"
        else:
            width = int(scalar[1:])
            text = str((int(value) + (1 << width - 1)) % (1 << width) - (1 << width - 1))
        if lanes > 1:
            text = f"splat ({scalar} {text})"
        return Val(self, text, scalar, lanes)

    def intrinsic(self, name: str, result: str, *args: Val) -> Val:
        """A call of `@llvm.NAME` on values of one type; `result` is the scalar type of what comes out."""
        x = args[0]
        tag = {"double": "f64", "float": "f32"}.get(x.scalar, x.scalar)
        return self.instruction(f"{name}.v{x.lanes}{tag}" if x.lanes > 1 else f"{name}.{tag}", result, x.lanes, *args)

    def instruction(self, name: str, result: str, lanes: int, *args: Val) -> Val:
        """A call of `@llvm.NAME`, whatever its arguments are."""
        out = result if lanes == 1 else f"<{lanes} x {result}>"
        self.declare(f"declare {out} @llvm.{name}({', '.join(a.type for a in args)})")
        return self.emit(f"call {out} @llvm.{name}({', '.join(a.typed for a in args)})", result, lanes)

    def splat(self, x: Val, lanes: int) -> Val:
        """A scalar in every lane."""
        if lanes == 1 or x.lanes == lanes:
            return x
        wide = f"<{lanes} x {x.scalar}>"
        first = self.emit(f"insertelement {wide} poison, {x.typed}, i64 0", x.scalar, lanes)
        return self.emit(
            f"shufflevector {wide} {first.name}, {wide} poison, <{lanes} x i32> zeroinitializer", x.scalar, lanes
        )

    def any(self, mask: Val) -> Val:
        """Whether a mask is true in some lane."""
        if mask.lanes == 1:
            return mask
        as_int = self.emit(f"bitcast {mask.typed} to i{mask.lanes}", f"i{mask.lanes}")
        return as_int.ne(0)

    def branch(self, condition: Val, yes: Callable[[], Sequence[Val]], no: Callable[[], Sequence[Val]]) -> list[Val]:
        """The values of `yes()` where a scalar condition holds, else those of `no()`: only one of them is run."""
        here, known = self.fresh("b"), self._known
        self.do(f"br {condition.typed}, label %{here}.yes, label %{here}.no")
        self.block(f"{here}.yes", known)
        first = yes()
        from_yes = self.label
        self.do(f"br label %{here}.end")
        self.block(f"{here}.no", known)
        second = no()
        from_no = self.label
        self.do(f"br label %{here}.end")
        self.block(f"{here}.end", known)
        return [
            self.emit(f"phi {a.type} [ {a.name}, %{from_yes} ], [ {b.name}, %{from_no} ]", a.scalar, a.lanes)
            for a, b in zip(first, second, strict=True)
        ]

    def each_lane(self, f: Callable[..., Sequence[Val]], args: Sequence[Val], results: Sequence[str]) -> list[Val]:
        """`f` on the single lanes of `args`, one after another in a loop; `results` are the scalar types of what it
        gives. For what is needed so seldom that short code counts more than speed."""
        lanes = args[0].lanes
        if lanes == 1:
            return list(f(*args))
        here, before = self.fresh("l"), self.label
        ends = [f"<{lanes} x {scalar}>" for scalar in results]
        counter, after = f"%{here}.i", f"%{here}.next"
        carried = [Val(self, f"%{here}.r{k}", scalar, lanes) for k, scalar in enumerate(results)]
        self.do(f"br label %{here}")
        self.block(here)
        at = len(self.lines)
        single = [self.emit(f"extractelement {x.typed}, i64 {counter}", x.scalar) for x in args]
        found = [
            self.emit(f"insertelement {c.typed}, {v.typed}, i64 {counter}", c.scalar, lanes)
            for c, v in zip(carried, f(*single), strict=True)
        ]
        last = self.label
        heads = [f"  {counter} = phi i64 [ 0, %{before} ], [ {after}, %{last} ]"]
        heads += [
            f"  {c.name} = phi {end} [ zeroinitializer, %{before} ], [ {v.name}, %{last} ]"
            for c, v, end in zip(carried, found, ends, strict=True)
        ]
        self.lines[at:at] = heads
        self.lines.append(f"  {after} = add i64 {counter}, 1")
        more = self.emit(f"icmp ult i64 {after}, {lanes}", "i1")
        self.do(f"br i1 {more.name}, label %{here}, label %{here}.end")
        self.block(f"{here}.end")
        return found

    def repeat(self, start: Sequence[Val], more: Callable[..., Val], step: Callable[..., Sequence[Val]]) -> list[Val]:
        """The scalars `start` changed by `step(*values)` as long as `more(*values)`."""
        here, before = self.fresh("w"), self.label
        carried = [Val(self, f"%{here}.c{k}", v.scalar, 1) for k, v in enumerate(start)]
        self.do(f"br label %{here}")
        self.block(here)
        at = len(self.lines)
        self.do(f"br {more(*carried).typed}, label %{here}.do, label %{here}.end")
        self.block(f"{here}.do")
        after = step(*carried)
        self.lines[at:at] = [
            f"  {c.name} = phi {c.type} [ {v.name}, %{before} ], [ {w.name}, %{self.label} ]"
            for c, v, w in zip(carried, start, after, strict=True)
        ]
        self.do(f"br label %{here}")
        self.block(f"{here}.end")
        return carried
