"""`Lanes`: arithmetic on vectors of one float type, whose number of lanes nobody need know. One lane means scalars.

The op table's `native` rules and the functions of the vector library are written with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tapecli.engines.native.ir import FLOATS, Code, Val


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

    def poly(self, x: Val, coefficients: Sequence[float]) -> Val:
        """The polynomial of ascending `coefficients`: by Horner's scheme where it is short, else by Estrin's,
        whose instructions wait less for each other (G. Estrin, 1960)."""
        if len(coefficients) <= 4:
            result = self.const(coefficients[-1])
            for c in reversed(coefficients[:-1]):
                result = self.mad(result, x, c)
            return result
        terms: list[Any] = list(coefficients)
        while len(terms) > 1:
            paired = [self.mad(high, x, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
            terms = paired + terms[2 * len(paired) :]
            if len(terms) > 1:
                x = x * x
        return self.lift(terms[0])

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
        from tapecli.engines.native.library import NAMES

        if name not in NAMES:
            raise AttributeError(name)
        return lambda *args: self.call(name, *args)
