# ruff: noqa: E501
"""Bytes changed at random: cut, repeated, exchanged, and sprinkled with what breaks readers."""

from __future__ import annotations

from random import Random

SPICES = [
    b"\x00", b"\xff", b"\xe2\x80\xae", b"\x1b[31m", b"\x1b]0;x\x07", b"\n::error::x\n", b"\r", b"\r\n", b"\t", b"\xc3", b"((((", b"))))",
    b"[[[[", b"]", b"{", b"}", b"1e999", b"1e-999", b"0x10", b"..", b"...", b"'", b'"', b"#", b";", b"^", b"**", b"@", b"~", b"==",
    b"for i in 1..10^9", b"[10^9]", b"[10^12, 10^12]", b"sum(", b"grad(", b" if ", b" then ", b" else ", b"fold(", b"nan", b"inf",
    b"-inf", b"\xce\xb1", b"\xd0\xb0", b"\xf0\x9f\x98\x80", b"\xe2\x88\x92", b"__import__", b"data q from \"/etc/passwd\"\n",
    b"data q from \"../../x.csv\"\n", b"var ", b"const ", b"minimize ", b"expect ", b"point p: ", b"subject to ", b"using adam(",
    b"9" * 400, b"x" * 300, b",", b"=", b"-" * 50, b"in [", b"1/0", b"0^0", b"exp(1e9)", b"hess(", b"jvp(", b"v[0]", b"v[9]", b"[i/0",
    b" by 0", b"10^18..", b"0..-5", b"2^1024", b"zeros(10^5,10^5)", b"eye(10^6)", b"linspace(0,1,10^9)", b"besselj(", b"zeta(",
]  # fmt: skip


def mutated(random: Random, data: bytes, other: bytes) -> bytes:
    """`data` changed in one to four places; parts of `other` may come in."""
    content = bytearray(data)
    for _ in range(random.randint(1, 4)):
        kind = random.randrange(8)
        at = random.randint(0, len(content))
        to = min(len(content), at + random.choice((1, 1, 2, 5, 20, 100)))
        if kind == 0:
            del content[at:to]
        elif kind == 1:
            content[at:at] = content[at:to] * random.randint(1, 3)
        elif kind <= 4:
            content[at:at] = random.choice(SPICES)
        elif kind == 5:
            for k in range(at, min(to, at + 5, len(content))):
                content[k] = random.randrange(256)
        elif kind == 6:
            begin = random.randint(0, len(other))
            content[at:to] = other[begin : begin + random.choice((3, 10, 40))]
        else:
            begin = random.randint(0, max(0, len(content) - 1))
            piece = bytes(content[begin : begin + random.choice((1, 4, 12))])
            content[at:to] = piece
    return bytes(content)
