"""`Lanes`: arithmetic on vectors of one float type, whose number of lanes nobody need know. One lane means scalars.

The op table's `native` rules and the functions of the vector library are written with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tapecli.engines.native.ir import FLOATS, Code, Val, bits_of

#: The bits of 3/4, of 1024 in the place of the exponent, and of 2^52.
THREE_QUARTERS = 0x3FE8000000000000
LIFT = 1024 << 52
WHOLE = 0x4330000000000000


class Lanes:
    """Arithmetic on lanes of one float type: what a `native` rule of the op table writes itself with.

    Numbers of Python become constants. Comparisons (`x < y`, `x.eq(y)`) give masks; `truth` makes 1 and 0 of a mask.
    `inline` says whether functions of the vector library are written out in place or called.
    """

    def __init__(self, code: Code, scalar: str, lanes: int, inline: bool = True) -> None:
        self.code = code
        self.scalar = scalar
        self.lanes = lanes
        self.inline = inline
        self.bits, self.integer = FLOATS[scalar]

    def const(self, value: float) -> Val:
        return self.code.constant(value, self.scalar, self.lanes)

    def int_const(self, value: int) -> Val:
        return self.code.constant(value, self.integer, self.lanes)

    def lift(self, x: Any) -> Val:
        return x if isinstance(x, Val) else self.const(x)

    def once(self, f: Callable[..., Any], *args: Any) -> Any:
        """`f(self, *args)`, shared with whoever has asked for the same before; `args` are values and pairs of them."""
        names = [tuple(v.name for v in (x if isinstance(x, tuple) else (x,))) for x in args]
        return self.code.once((f, self.scalar, self.lanes, *names), lambda: f(self, *args))

    # ---- masks

    def select(self, mask: Val, x: Any, y: Any) -> Val:
        """`x` where the mask is true, else `y` (floats or integers)."""
        if not isinstance(x, Val):
            x = self.code.constant(x, y.scalar, mask.lanes) if isinstance(y, Val) else self.const(x)
        if not isinstance(y, Val):
            y = self.code.constant(y, x.scalar, mask.lanes)
        return self.code.emit(f"select {mask.typed}, {x.typed}, {y.typed}", x.scalar, x.lanes)

    def truth(self, mask: Val) -> Val:
        """1 where a mask is true, else 0."""
        return self.select(mask, 1.0, self.const(0.0))

    def isnan(self, x: Val) -> Val:
        return x.ne(x)

    # ---- floats

    def sqrt(self, x: Val) -> Val:
        return self.code.intrinsic("sqrt", self.scalar, x)

    def abs(self, x: Val) -> Val:
        return self.code.intrinsic("fabs", self.scalar, x)

    def copysign(self, x: Any, y: Val) -> Val:
        """`x` with the sign of `y`."""
        return self.code.intrinsic("copysign", self.scalar, self.lift(x), y)

    @property
    def fused(self) -> bool:
        """Whether `fma` is an instruction."""
        return self.code.fused

    def floor(self, x: Val) -> Val:
        if self.fused:
            return self.code.intrinsic("floor", self.scalar, x)
        whole = self.rint(x)
        return self.copysign(self.select(whole > x, whole - 1.0, whole), x)

    def ceil(self, x: Val) -> Val:
        if self.fused:
            return self.code.intrinsic("ceil", self.scalar, x)
        whole = self.rint(x)
        return self.copysign(self.select(whole < x, whole + 1.0, whole), x)

    def rint(self, x: Val) -> Val:
        """The nearest whole number, halves to even."""
        if self.fused:
            return self.code.intrinsic("roundeven", self.scalar, x)
        # processors without fused instructions may lack those that round, too, and LLVM would call the C library
        whole = 2.0**52 if self.scalar == "double" else 2.0**23
        a = self.abs(x)
        return self.select(a < whole, self.copysign((a + whole) - whole, x), x)

    def fma(self, x: Any, y: Any, z: Any) -> Val:
        """`x*y + z` with one rounding, on every host (slow where the host has no such instruction)."""
        return self.code.intrinsic("fma", self.scalar, self.lift(x), self.lift(y), self.lift(z))

    def mad(self, x: Any, y: Any, z: Any) -> Val:
        """`x*y + z` with one rounding or two, whichever is faster on the host."""
        return self.code.intrinsic("fmuladd", self.scalar, self.lift(x), self.lift(y), self.lift(z))

    def poly(self, x: Val, coefficients: Sequence[Any]) -> Val:
        """The polynomial of ascending `coefficients`: by Horner's scheme where it is short, else by two of them, for
        even and odd powers, which do not wait for each other and cost one product more (Knuth, The Art of Computer
        Programming 2, 4.6.4)."""
        if len(coefficients) <= 4:
            return self._horner(x, coefficients)
        square = x * x
        return self.mad(self._horner(square, coefficients[1::2]), x, self._horner(square, coefficients[::2]))

    def _horner(self, x: Val, coefficients: Sequence[Any]) -> Val:
        result = self.lift(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            result = self.mad(result, x, c)
        return result

    # ---- the bits of floats

    def to_bits(self, x: Val) -> Val:
        """The bits of floats as integers of the same width."""
        return self._cast("bitcast", x, self.integer)

    def from_bits(self, i: Val) -> Val:
        return self._cast("bitcast", i, self.scalar)

    def to_int(self, x: Val) -> Val:
        """Whole floats as integers."""
        return self._cast("fptosi", x, self.integer)

    def to_float(self, i: Val) -> Val:
        return self._cast("sitofp", i, self.scalar)

    def shift_right(self, i: Val, by: int) -> Val:
        """The arithmetic shift of integers (`>>` is the logical one)."""
        return self.code.emit(f"ashr {i.type} {i.name}, {i._with(by).name}", i.scalar, i.lanes)

    def _cast(self, how: str, x: Val, to: str) -> Val:
        out = to if x.lanes == 1 else f"<{x.lanes} x {to}>"
        return self.code.emit(f"{how} {x.typed} to {out}", to, x.lanes)

    # ---- tables, and numbers taken apart (in double precision)

    @property
    def avx512(self) -> bool:
        """Whether the host looks up tables in registers and takes numbers apart in one instruction each."""
        return self.code.avx512

    def lookup(self, index: Val, *tables: Sequence[float]) -> list[Val]:
        """The entry of each table of 16 or 32 numbers that the low bits of an integer say."""
        if self.avx512 and self.lanes % 8 == 0:
            return [self._permuted(index, table) for table in tables]
        return [self.entry(self.code.doubles(table), index & (len(table) - 1)) for table in tables]

    def _permuted(self, index: Val, table: Sequence[float]) -> Val:
        if len(table) > 16:
            low, high = self._permuted(index, table[:16]), self._permuted(index, table[16:])
            return self.select((index & 16).ne(0), high, low)
        entries = [f"double {bits_of(c, 'double')}" for c in table]
        low, high = (Val(self.code, f"<{', '.join(half)}>", "double", 8) for half in (entries[:8], entries[8:]))
        return self._by_eight(
            lambda i: self.code.instruction("x86.avx512.vpermi2var.pd.512", "double", 8, low, i, high), index
        )

    def entry(self, array: Val, at: Val) -> Val:
        """The entries of an array of doubles at the lanes of an index."""
        code, n = self.code, at.lanes
        place = code.emit(f"getelementptr double, ptr {array.name}, {at.typed}", "ptr", n)
        if n == 1:
            return code.emit(f"load double, ptr {place.name}", "double")
        everywhere, nothing = code.constant(True, "i1", n), Val(code, "poison", "double", n)
        name = f"masked.gather.v{n}f64.v{n}p0"
        return code.instruction(name, "double", n, place, code.constant(8, "i32"), everywhere, nothing)

    def _by_eight(self, f: Callable[[Val], Val], x: Val) -> Val:
        """`f`, which takes vectors of eight lanes, on a vector of a multiple of eight."""
        if x.lanes == 8:
            return f(x)
        half = x.lanes // 2
        return self._joined(*[self._by_eight(f, self._part(x, first, half)) for first in (0, half)])

    def _part(self, x: Val, first: int, count: int) -> Val:
        lanes = ", ".join(f"i32 {k}" for k in range(first, first + count))
        return self.code.emit(f"shufflevector {x.typed}, {x.type} poison, <{count} x i32> <{lanes}>", x.scalar, count)

    def _joined(self, x: Val, y: Val) -> Val:
        count = 2 * x.lanes
        lanes = ", ".join(f"i32 {k}" for k in range(count))
        return self.code.emit(f"shufflevector {x.typed}, {y.typed}, <{count} x i32> <{lanes}>", x.scalar, count)

    def significand(self, x: Val) -> tuple[Val, Val]:
        """x = m 2^k: m from 3/4 to 3/2, and k as a float. Of 0 k is -inf, of infinity inf, and of what has no logarithm
        one of them is nan."""
        if self.avx512 and self.lanes % 8 == 0:
            m = self._by_eight(self._mantissa, x)
            return m, self._by_eight(self._exponent, x) - self._by_eight(self._exponent, m)
        tiny = x < 2.0**-1022
        i = self.to_bits(self.select(tiny, x * 2.0**54, x))
        e = (i - (THREE_QUARTERS - LIFT)) >> 52
        m = self.from_bits(i - (e << 52) + LIFT)
        k = self.from_bits(e | WHOLE) - self.select(tiny, 2.0**52 + 1078.0, self.const(2.0**52 + 1024.0))
        infinite = float("inf")
        k = self.select(x < infinite, k, x)
        return m, self.select(x > 0.0, k, self.select(x.eq(0.0), -infinite, float("nan")))

    def _mantissa(self, x: Val) -> Val:
        # from 3/4 to 3/2, nan where there is a sign
        return self._of_avx512("getmant", x, self.code.constant(11, "i32"))

    def _exponent(self, x: Val) -> Val:
        return self._of_avx512("getexp", x)

    def _of_avx512(self, name: str, x: Val, *more: Val) -> Val:
        code = self.code
        rest = Val(code, "zeroinitializer", "double", 8), code.constant(-1, "i8"), code.constant(4, "i32")
        return code.instruction(f"x86.avx512.mask.{name}.pd.512", "double", 8, x, *more, *rest)

    # ---- other precision

    def in_double(self, f: Callable[..., Val], *args: Val) -> Val:
        """`f(lanes, *args)` computed in double precision and rounded to this one."""
        if self.scalar == "double":
            return f(self, *args)
        wide = Lanes(self.code, "double", self.lanes, self.inline)
        return self._cast("fptrunc", f(wide, *[wide._cast("fpext", x, "double") for x in args]), self.scalar)

    # ---- the vector library

    def call(self, name: str, *args: Any) -> Val:
        """A function of the vector library (`tapecli.engines.native.library`), in place or called."""
        values = [self.lift(x) for x in args]
        if self.inline:
            from tapecli.engines.native.library import function

            return function(name)(self, *values)
        result: Val = self.code.module.function_call(self, name, values)
        return result

    def __getattr__(self, name: str) -> Callable[..., Val]:
        """`b.exp(x)` is `b.call("exp", x)`."""
        from tapecli.engines.native.library import known

        if not known(name):
            raise AttributeError(name)
        return lambda *args: self.call(name, *args)
