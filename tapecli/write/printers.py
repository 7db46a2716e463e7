"""Terms as text, with no more brackets than needed: in the formula language, in Python, in LaTeX.

A printer turns each term into its text and how tightly that binds, from the terms it is made of, which are done before.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Sequence

from tapecli.errors import TapeError
from tapecli.write.terms import Term, reachable

#: how tightly a construct binds
IF, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 11)

Text = tuple[str, int]


def number(x: float) -> str:
    """The shortest text that reads back as the number."""
    if x != x or math.isinf(x):
        return "nan" if x != x else "inf"
    return "pi" if x == math.pi else repr(x).removesuffix(".0")


class Printer:
    """The formula language. `names` are those that an index must not have."""

    power = "^"
    times = "*"

    def __init__(self, names: Sequence[str]) -> None:
        self.indices = {letter: _unlike(letter, names) for letter in "ik"}
        self._taken = frozenset(names)

    def number(self, x: float) -> str:
        said = number(x)
        if said in self._taken:  # somebody has a variable of that name
            return {"pi": repr(x), "inf": "(1/0)", "nan": "(0/0)"}[said]
        return said

    def text(self, root: Term) -> str:
        done: dict[int, Text] = {}
        for term in reachable([root]):
            done[term.serial] = self.of(term, [done[arg.serial] for arg in term.args])
        return done[root.serial][0]

    def of(self, term: Term, args: list[Text]) -> Text:
        write = getattr(self, f"_{term.kind}")
        found: Text = write(term, args)
        return found

    def within(self, text: Text, level: int) -> str:
        """The text where something that binds so tightly stands around it."""
        return text[0] if text[1] >= level else f"({text[0]})"

    def _num(self, term: Term, args: list[Text]) -> Text:
        x = term.value[0]
        return (f"-{self.number(-x)}", SIGN) if x < 0 else (self.number(x), ATOM)

    def _name(self, term: Term, args: list[Text]) -> Text:
        return self.name(term.value), ATOM

    def name(self, name: str) -> str:
        return name

    def factor(self, text: Text, n: float) -> Text:
        """A positive power of a factor."""
        if n == 1.0:
            return text
        if n == 0.5:
            return self.function("sqrt", [text[0]]), ATOM
        return f"{self.within(text, ATOM)}{self.power}{self.number(n)}", POWER

    def function(self, name: str, args: Sequence[str]) -> str:
        return f"{name}({', '.join(args)})"

    def _product(self, term: Term, args: list[Text]) -> Text:
        up, down, exponents = term.value
        above = [self.factor(arg, n) for arg, n in zip(args, exponents, strict=True) if n > 0]
        below = [self.factor(arg, -n) for arg, n in zip(args, exponents, strict=True) if n < 0]
        sign = "-" if up < 0 else ""
        if abs(up) != 1.0 or not above:
            above.insert(0, (self.number(abs(up)), ATOM))
        if down != 1.0:
            below.insert(0, (self.number(down), ATOM))
        return self.fraction(sign, above, below)

    def fraction(self, sign: str, above: list[Text], below: list[Text]) -> Text:
        said = self.times.join(self.within(factor, POWER) for factor in above)
        if len(below) == 1:
            said += f"/{self.within(below[0], POWER)}"
        elif below:
            said += f"/({self.times.join(self.within(factor, POWER) for factor in below)})"
        if len(above) == 1 and not below:
            return f"{sign}{said}", SIGN if sign else PRODUCT
        return f"{sign}{said}", PRODUCT

    def _sum(self, term: Term, args: list[Text]) -> Text:
        ups, downs = term.value
        parts = [
            (up < 0, self.scaled(text, arg, abs(up), down))
            for (text, arg), up, down in zip(zip(args, term.args, strict=True), ups, downs, strict=False)
        ]
        if ups[-1]:
            constant = self.fraction("", [(self.number(abs(ups[-1])), ATOM)], self._below(downs[-1]))[0]
            parts.insert(0 if parts[0][0] and ups[-1] > 0 else len(parts), (ups[-1] < 0, constant))
        said = ""
        for negative, text in parts:
            said += self.joined(said, negative, text)
        return said, SUM

    def joined(self, before: str, negative: bool, text: str) -> str:
        if not before:
            return f"-{text}" if negative else text
        return f" {'-' if negative else '+'} {text}"

    def scaled(self, text: Text, term: Term, up: float, down: float) -> str:
        """A part of a sum: a term times a positive number. A product takes the number among its factors."""
        if (up, down) == (1.0, 1.0):
            return self.within(text, PRODUCT)
        if term.kind == "product":
            return self._scaled_product(text, term, up, down)
        above = [text] if up == 1.0 else [(self.number(up), ATOM), text]
        return self.fraction("", above, self._below(down))[0]

    def _below(self, down: float) -> list[Text]:
        return [] if down == 1.0 else [(self.number(down), ATOM)]

    def _scaled_product(self, text: Text, term: Term, up: float, down: float) -> str:
        said = text[0]
        bare = all(n < 0 for n in term.value[2])
        if up != 1.0:
            said = f"{self.number(up)}{said[1:]}" if bare else f"{self.number(up)}{self.times}{said}"
        return said if down == 1.0 else f"{said}/{self.number(down)}"

    def _call(self, term: Term, args: list[Text]) -> Text:
        name, keys = term.value
        return self.function(name, [text for text, _ in args] + [f"{key}={value}" for key, value in keys]), ATOM

    def _pow(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}{self.power}{self.within(args[1], ATOM)}", POWER

    def _matmul(self, term: Term, args: list[Text]) -> Text:
        left = args[0][0] if term.args[0].kind == "matmul" else self.within(args[0], POWER)
        return f"{left} @ {self.within(args[1], POWER)}", PRODUCT

    def _transpose(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}'", ATOM

    def _compare(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], SUM)} {term.value} {self.within(args[1], SUM)}", COMPARE

    def _and(self, term: Term, args: list[Text]) -> Text:
        return " and ".join(self.within(arg, NOT) for arg in args), AND

    def _or(self, term: Term, args: list[Text]) -> Text:
        return " or ".join(self.within(arg, AND) for arg in args), OR

    def _not(self, term: Term, args: list[Text]) -> Text:
        return f"not {self.within(args[0], COMPARE)}", NOT

    def _if(self, term: Term, args: list[Text]) -> Text:
        condition, x, y = args
        return f"if {self.within(condition, OR)} then {self.within(x, OR)} else {y[0]}", IF

    def _vector(self, term: Term, args: list[Text]) -> Text:
        return f"[{', '.join(text for text, _ in args)}]", ATOM

    def _index(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}[{', '.join(term.value)}]", ATOM

    def _embed(self, term: Term, args: list[Text]) -> Text:
        (n,) = term.shape
        if len(args) == n and not any(arg.shape for arg in term.args):
            return self._vector(term, args)
        pieces, at = [], 0
        for (start, count), (text, _) in zip(term.value, args, strict=True):
            pieces += [*self._zeros(start - at), text]
            at = start + count
        pieces += self._zeros(n - at)
        return (pieces[0], args[0][1]) if len(pieces) == 1 else (self.function("concat", pieces), ATOM)

    def _zeros(self, n: int) -> list[str]:
        return [] if not n else ["0"] if n == 1 else [self.function("zeros", [str(n)])]

    def _pattern(self, term: Term, args: list[Text]) -> Text:
        head, tail = (part.format_map(self.indices) for part in term.value)
        return f"{head}{self.within(args[0], ATOM)}{tail}", ATOM


def _unlike(letter: str, names: Sequence[str]) -> str:
    while letter in names:
        letter += "_"
    return letter


class Python(Printer):
    """NumPy's Python. The text is for people to take elsewhere; nothing here runs it."""

    power = "**"
    _NAMED = {  # noqa: RUF012
        "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
        "acosh": "arccosh", "atanh": "arctanh", "abs": "abs", "ceil": "ceil", "round": "round", "mod": "mod",
        "inv": "linalg.inv", "solve": "linalg.solve", "cholesky": "linalg.cholesky", "det": "linalg.det",
        "concat": "concatenate", "norm": "linalg.norm", "cumsum": "cumsum",
    }  # fmt: skip
    _SAME = frozenset(
        "exp expm1 exp2 log log1p log2 log10 sqrt cbrt sign floor hypot sin cos tan sinh cosh tanh sinc "
        "sum max min zeros ones eye logaddexp deg2rad".split()
    )
    _SCIPY = {  # noqa: RUF012
        "sigmoid": "expit", "logit": "logit", "erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln",
        "digamma": "digamma", "polygamma": "polygamma", "beta": "beta", "lbeta": "betaln", "xlogy": "xlogy",
        "xlog1py": "xlog1py", "erfinv": "erfinv", "erfcinv": "erfcinv", "erfcx": "erfcx", "dawson": "dawsn",
        "expint": "exp1", "besselj": "jv", "bessely": "yv", "besseli": "iv", "besselk": "kv", "ellipk": "ellipk",
        "ellipe": "ellipe", "zeta": "zeta", "logsumexp": "logsumexp", "softmax": "softmax",
    }  # fmt: skip
    _OTHER = {  # noqa: RUF012
        "sec": "1/np.cos({})", "csc": "1/np.sin({})", "cot": "1/np.tan({})", "sech": "1/np.cosh({})",
        "csch": "1/np.sinh({})", "coth": "1/np.tanh({})", "exp10": "10.0**({})", "relu": "np.maximum({}, 0)",
        "softplus": "np.logaddexp(0, {})", "trigamma": "special.polygamma(1, {})", "sinpi": "np.sin(np.pi*({}))",
        "cospi": "np.cos(np.pi*({}))", "logdet": "np.linalg.slogdet({})[1]",
    }  # fmt: skip

    def name(self, name: str) -> str:
        return f"{name}_" if keyword.iskeyword(name) or name in ("np", "special") else name

    def number(self, x: float) -> str:
        said = number(x)
        return f"np.{said}" if said in ("pi", "inf", "nan") else said

    def function(self, name: str, args: Sequence[str]) -> str:
        args = [arg if not arg.startswith("axis=") else f"axis={int(arg[5:]) - 1}" for arg in args]
        inside = ", ".join(args)
        if name in self._OTHER:
            return f"({self._OTHER[name].format(inside)})"
        if name in self._SCIPY:
            return f"special.{self._SCIPY[name]}({inside})"
        if name in ("zeros", "ones"):
            return f"np.{name}(({inside},))"
        if name in ("stack", "concat"):
            many = [arg for arg in args if not arg.startswith("axis=")]
            rest = [arg for arg in args if arg.startswith("axis=")]
            inner = ", ".join([f"[{', '.join(many)}]", *rest])
            return f"np.{self._NAMED.get(name, name)}({inner})"
        if name in ("max", "min") and len(args) > 1 and not args[-1].startswith("axis="):
            inner = args[0]
            for arg in args[1:]:
                inner = f"np.{name}imum({inner}, {arg})"
            return inner
        if name == "reshape":
            return f"np.reshape({args[0]}, ({', '.join(args[1:])},))"
        if name in self._SAME or name in self._NAMED:
            return f"np.{self._NAMED.get(name, name)}({inside})"
        raise TapeError("unsupported", f"NumPy and SciPy have no `{name}`", hint="--as tape writes it as a formula")

    def _transpose(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}.T", ATOM

    def _and(self, term: Term, args: list[Text]) -> Text:
        return f"np.logical_and({args[0][0]}, {args[1][0]})", ATOM

    def _or(self, term: Term, args: list[Text]) -> Text:
        return f"np.logical_or({args[0][0]}, {args[1][0]})", ATOM

    def _not(self, term: Term, args: list[Text]) -> Text:
        return f"np.logical_not({args[0][0]})", ATOM

    def _if(self, term: Term, args: list[Text]) -> Text:
        return f"np.where({', '.join(text for text, _ in args)})", ATOM

    def _vector(self, term: Term, args: list[Text]) -> Text:
        texts = [text for text, _ in args]
        nested = [
            arg.kind in ("vector", "embed") and text.startswith("np.array([")
            for text, arg in zip(texts, term.args, strict=True)
        ]
        said = [text[len("np.array(") : -1] if inner else text for text, inner in zip(texts, nested, strict=True)]
        return f"np.array([{', '.join(said)}])", ATOM

    def _index(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}[{', '.join(map(_from_zero, term.value))}]", ATOM

    def _embed(self, term: Term, args: list[Text]) -> Text:
        (n,) = term.shape
        pairs = zip(args, term.args, strict=True)
        rows = [text if arg.shape else (f"np.atleast_1d({text[0]})", ATOM) for text, arg in pairs]
        if len(args) == n and not any(arg.shape for arg in term.args):
            return self._vector(term, args)
        return super()._embed(term, rows)

    def _zeros(self, n: int) -> list[str]:
        return [f"np.zeros({n})"] if n else []

    def _pattern(self, term: Term, args: list[Text]) -> Text:
        raise TapeError("unsupported", "this index notation has no Python", hint="--as tape writes it as a formula")


def _from_zero(item: str) -> str:
    """An index that counts from 1, with both ends, as Python counts."""
    if item == ":":
        return item
    if item.startswith("["):
        return f"[{', '.join(str(int(x) - 1) for x in item[1:-1].split(', '))}]"
    first, dots, rest = item.partition("..")
    if not dots:
        return str(int(first) - 1)
    last, _, step = rest.partition(" by ")
    if step and int(step) < 0:
        end = "" if int(last) == 1 else str(int(last) - 2)
        return f"{int(first) - 1}:{end}:{step}"
    return f"{int(first) - 1}:{last}{f':{step}' if step else ''}"


class Latex(Printer):
    """Mathematics as LaTeX sets it: fractions, roots, Greek letters."""

    times = r" \, "
    _GREEK = {  # noqa: RUF012
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
        "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau",
        "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda",
        "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    }  # fmt: skip
    _KNOWN = frozenset("exp log sin cos tan sec csc cot sinh cosh tanh coth det max min".split())
    _SIGNS = {"<": "<", "<=": r"\le", "==": "=", "!=": r"\ne", ">": ">", ">=": r"\ge"}  # noqa: RUF012

    def name(self, name: str) -> str:
        head = name.rstrip("0123456789").rstrip("_") or name
        tail = name[len(head) :].lstrip("_") if head != name else ""
        head, _, word = head.partition("_") if head[:1] != "_" else (head, "", "")
        below = ", ".join(part for part in (word.replace("_", " "), tail) if part)
        said = self._GREEK.get(head, head)
        if len(head) == 1 and head in self._GREEK:
            said = f"\\{said}"
        elif head in self._GREEK.values():
            said = f"\\{head}"
        elif len(head) > 1:
            said = f"\\mathrm{{{head.replace('_', chr(92) + '_')}}}"
        return f"{said}_{{{_upright(below)}}}" if below else said

    def within(self, text: Text, level: int) -> str:
        return text[0] if text[1] >= level else rf"\left({text[0]}\right)"

    def _num(self, term: Term, args: list[Text]) -> Text:
        x = term.value[0]
        return (f"-{_decimal(-x)}", SIGN) if x < 0 else (_decimal(x), ATOM)

    def factor(self, text: Text, n: float) -> Text:
        if n == 1.0:
            return text
        if n == 0.5:
            return rf"\sqrt{{{text[0]}}}", ATOM
        return f"{self.within(text, ATOM)}^{{{_decimal(n)}}}", POWER

    def fraction(self, sign: str, above: list[Text], below: list[Text]) -> Text:
        tight = ATOM if len(above) > 1 else SIGN
        parts = [(_decimal_text(text), level) for text, level in above]
        if not below:
            return sign + self.times.join(self.within(part, min(tight, POWER)) for part in parts), PRODUCT
        top = parts[0][0] if len(parts) == 1 else self.times.join(self.within(part, POWER) for part in parts)
        rest = [(_decimal_text(text), level) for text, level in below]
        bottom = rest[0][0] if len(rest) == 1 else self.times.join(self.within(part, POWER) for part in rest)
        return rf"{sign}\frac{{{top}}}{{{bottom}}}", PRODUCT

    def _scaled_product(self, text: Text, term: Term, up: float, down: float) -> str:
        head = _decimal(up) if down == 1.0 else rf"\frac{{{_decimal(up)}}}{{{_decimal(down)}}}"
        return f"{head}{self.times}{text[0]}"

    def function(self, name: str, args: Sequence[str]) -> str:
        args = [arg if not arg.startswith("axis=") else rf"\mathrm{{axis}}={arg[5:]}" for arg in args]
        if name == "sqrt":
            return rf"\sqrt{{{args[0]}}}"
        if name in ("abs", "norm") and len(args) == 1:
            bar = "|" if name == "abs" else r"\|"
            return rf"\left{bar}{args[0]}\right{bar}"
        if name == "gamma":
            return rf"\Gamma\left({args[0]}\right)"
        head = rf"\{name}" if name in self._KNOWN else rf"\operatorname{{{name}}}"
        return rf"{head}\left({', '.join(args)}\right)"

    def _call(self, term: Term, args: list[Text]) -> Text:
        if term.value[0] != "xlogy":
            return super()._call(term, args)
        return rf"{self.within(args[0], POWER)}{self.times}\log\left({args[1][0]}\right)", PRODUCT

    def _pow(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], ATOM)}^{{{args[1][0]}}}", POWER

    def _matmul(self, term: Term, args: list[Text]) -> Text:
        return " ".join(self.within(arg, POWER) for arg in args), PRODUCT

    def _transpose(self, term: Term, args: list[Text]) -> Text:
        return rf"{self.within(args[0], ATOM)}^{{\top}}", POWER

    def _compare(self, term: Term, args: list[Text]) -> Text:
        return f"{self.within(args[0], SUM)} {self._SIGNS[term.value]} {self.within(args[1], SUM)}", COMPARE

    def _and(self, term: Term, args: list[Text]) -> Text:
        return r" \land ".join(self.within(arg, NOT) for arg in args), AND

    def _or(self, term: Term, args: list[Text]) -> Text:
        return r" \lor ".join(self.within(arg, AND) for arg in args), OR

    def _not(self, term: Term, args: list[Text]) -> Text:
        return rf"\lnot {self.within(args[0], ATOM)}", NOT

    def _if(self, term: Term, args: list[Text]) -> Text:
        condition, x, y = (text for text, _ in args)
        cases = rf"{x} & \text{{if }} {condition} \\ {y} & \text{{otherwise}}"
        return rf"\begin{{cases}} {cases} \end{{cases}}", ATOM

    def _vector(self, term: Term, args: list[Text]) -> Text:
        return rf"\left[{', '.join(text for text, _ in args)}\right]", ATOM

    def _index(self, term: Term, args: list[Text]) -> Text:
        items = ", ".join(item.replace("..", r"{:}") if item != ":" else "{:}" for item in term.value)
        base = self.within(args[0], ATOM)
        return (rf"\left({base}\right)" if "_" in base else base) + f"_{{{items}}}", ATOM

    def _pattern(self, term: Term, args: list[Text]) -> Text:
        head, tail = (part.format_map(self.indices) for part in term.value)
        return rf"\texttt{{{head}}}{args[0][0]}\texttt{{{tail}}}", ATOM


def _upright(text: str) -> str:
    return rf"\mathrm{{{text}}}" if len(text) > 1 and not text.isdigit() else text


def _decimal_text(text: str) -> str:
    """A factor that `number` wrote, as LaTeX sets it."""
    try:
        return _decimal(float(text))
    except ValueError:
        return r"\pi" if text == "pi" else text


def _decimal(x: float) -> str:
    text = number(x)
    if text in ("pi", "inf", "nan"):
        return {"pi": r"\pi", "inf": r"\infty", "nan": r"\mathrm{nan}"}[text]
    digits, e, exponent = text.partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if e else digits


FORMS = {"tape": Printer, "latex": Latex, "python": Python}
