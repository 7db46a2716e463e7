"""Index notation and recurrences: values against plain Python, derivatives against numerical ones, engines agreeing."""

import numpy as np
import pytest

import tapecli as tp

HEAD = "const x=[1,2,3,4,5,6,7]\nconst n=7\nconst A=[[1,2,3],[4,5,6],[7,8,10]]\n"
x = np.arange(1.0, 8)
M = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 10]])


def fold(step, state, indices):
    for k in indices:
        state = step(state, k)
    return state


LOOPS = {
    "sum(x[i] for i in 1..n)": 28,
    "sum(x[i]*x[j] for i in 1..n, j in i+1..n)": sum(x[i] * x[j] for i in range(7) for j in range(i + 1, 7)),
    "sum(a*0+1 for a in x)": 7,
    "prod(x[i] for i in 1..4)": 24,
    "prod(x[i] for i in 1..0)": 1,
    "sum(x[i] for i in 1..0)": 0,
    "max(x[i]-3*i for i in 1..n)": -2,
    "min(x[i]-3*i for i in 1..n if i != 7)": -12,
    "mean(x[i] for i in 1..n if i != 3)": 25 / 6,
    "[x[i]^2 for i in 1..n]": (x**2).tolist(),
    "[x[i]*x[j] for i in 1..2, j in 1..3]": np.outer(x[:2], x[:3]).tolist(),
    "sum(x[mod(3*i-1, n)+1] for i in 1..n)": 28,
    "[x[2*i-1] for i in 1..4]": [1, 3, 5, 7],
    "[x[n+1-i] for i in 1..n]": x[::-1].tolist(),
    "sum(sum(x[j] for j in max(1,i-2)..min(n,i+1))^2 for i in 1..n)": sum(
        sum(x[j - 1] for j in range(max(1, i - 2), min(7, i + 1) + 1)) ** 2 for i in range(1, 8)
    ),
    "[sum(x[j] for j in 1..i) for i in 1..n]": np.cumsum(x).tolist(),
    "[max(x[j] for j in 1..i) for i in 1..n]": x.tolist(),
    "[prod(x[j] for j in i..min(n,i+1)) for i in 1..n]": [2, 6, 12, 20, 30, 42, 7],
    "sum(A[i,j] for i in 1..3, j in 1..3)": 46,
    "sum(A[i,i] for i in 1..3)": 16,
    "[A[j,i] for i in 1..3, j in 1..3]": [[1, 4, 7], [2, 5, 8], [3, 6, 10]],
    "[sum(A[i,:]) for i in 1..3]": [6, 15, 25],
    "[A[i,2..3] for i in 1..3]": [[2, 3], [5, 6], [8, 10]],
    "sum(norm(A[i,:]-A[j,:]) for i in 1..3, j in i+1..3)": sum(
        np.linalg.norm(M[i] - M[j]) for i in range(3) for j in range(i + 1, 3)
    ),
    "xm(k) = if k == 0 then 0 else x[k]\nsum(xm(i-1)*i for i in 1..n)": sum(x[i - 2] * i for i in range(2, 8)),
    "u(i) = 16 - i\nsum(u(i)*x[i] for i in 1..n)": sum((16 - i) * i for i in range(1, 8)),
    "idx=[3,1,2]\n[x[idx[i]] for i in 1..3]": [3, 1, 2],
    "x[[1,3]]": [1, 3],
    "[sum(x[j] for j in i..i+2) for i in 1..3]": [6, 9, 12],
    "[x[i..i+2] for i in 1..3]": [[1, 2, 3], [2, 3, 4], [3, 4, 5]],
    "[[i*j for j in 1..2] for i in 1..3]": [[1, 2], [2, 4], [3, 6]],
    "logsumexp(x[i] for i in 1..n)": float(np.log(np.exp(x).sum())),
    "sum(logsumexp(A[i,k] for k in 1..3) for i in 1..3)": float(np.log(np.exp(M).sum(1)).sum()),
    "sum(grad(t^3, t)*1 for t in x)": float((3 * x**2).sum()),
    "f(t)=t^3\nd(t)=grad(grad(f(t),t),t)\nsum(d(i/1) for i in 1..3)+d(2)": 6 * 6 + 12,
    "f(t)=t^3\nd(t)=grad(grad(f(t),t),t)\nsum(d(i) for i in 1..3)+d(2)": 6 * 6 + 12,
    "sum(x[i]*sum(x[j]*sum(x[k] for k in j..i) for j in 1..i) for i in 1..4)": sum(
        i * sum(j * sum(range(j, i + 1)) for j in range(1, i + 1)) for i in range(1, 5)
    ),
    "[if i > 3 then x[i] else 0 for i in 1..n]": [0, 0, 0, 4, 5, 6, 7],
    "sum(1 for i in 1..n, j in 1..i)": 28,
    "sum(1 for i in 1..n, j in 1..n if i<j and mod(j,2)==0)": sum(
        1 for i in range(1, 8) for j in range(1, 8) if i < j and j % 2 == 0
    ),
    "[sum(1 for j in 1..n if j>i) for i in 1..n]": [6, 5, 4, 3, 2, 1, 0],
    "sum([x[i],x[i+1]][2] for i in 1..3)": 9,
    "[sum(x[j] for j in 1..n if i > 3) for i in 1..5]": [0, 0, 0, 28, 28],
}

FOLDS = {
    "fold(s=0 for k in 1..n: s+x[k])": 28,
    "scan(s=0 for k in 1..n: s+x[k])": np.cumsum(x).tolist(),
    "fold(s=1 for k in 1..100: s+0.01*s)": 1.01**100,
    "fold(s=v for k in 1..1000: s+0.001*(s*s*s-s))": fold(lambda s, k: s + 0.001 * (s**3 - s), 0.5, range(1000)),
    "(a,b)=fold(x=1, w=0 for k in 1..1000: (x+0.001*w, w-0.001*x))\na+b": None,
    "fold(s=0 for k in 1..n: if k==1 then s else s+x[k-1]*k)": sum(x[k - 2] * k for k in range(2, 8)),
    "fold(s=[0,0,0] for k in 1..3: s + A[k,:]*s[k] + A[:,k])": None,
    "sum(fold(s=x[i] for k in 1..3: s*s/10+k) for i in 1..n)": sum(
        fold(lambda s, k: s * s / 10 + k, xi, [1, 2, 3]) for xi in x
    ),
    "fold(s=0 for k in 1..3: fold(r=s for j in 1..2: r + x[k+j]*A[k,j]))": fold(
        lambda s, k: fold(lambda r, j: r + x[k + j - 1] * M[k - 1][j - 1], s, [1, 2]), 0, [1, 2, 3]
    ),
    "fold(s=0 for k in 1..0: s+1)": 0,
    "scan(s=0 for k in n..1 by -1: s+x[k])": np.cumsum(x[::-1]).tolist(),
    "fold(s=0 for k in 1..4: s+[1,2])": [4, 8],
    "g(t)=t^2*sin(t)\nfold(t=v for k in 1..5: t-0.1*grad(g(t),t))": None,
    "fold(s=0 for k in 1..200: s+sum(x[i]*k for i in 1..n))": 28 * 20100,
    "h(k)=if k<=0 then 0 else x[k]\nfold(s=0 for k in 1..n: s+h(k-2))": 15,
}


@pytest.mark.parametrize("text", LOOPS)
def test_value(text):
    assert np.allclose(tp.parse(HEAD + text).value(), LOOPS[text], rtol=1e-12)


@pytest.mark.parametrize("text", FOLDS)
def test_recurrence(text):
    problem = tp.parse(HEAD + "var v=0.5\n" + text)
    value = problem.value()
    if FOLDS[text] is not None:
        assert np.allclose(value, FOLDS[text], rtol=1e-12)
    if value.ndim == 0:
        assert problem.check().ok
    assert np.array_equal(problem.compile("numpy").value(), value)


INSIDE = {
    "sum(jvp(t^3, t, 2) for t in x)": float((3 * x**2 * 2).sum()),
    "sum(jvp(w*t^2, w, [1, 2])[2] for t in x)": float((2 * x**2).sum()),
    "sum(hvp(t^3, t, 2) for t in x)": float((6 * x * 2).sum()),
    "sum(hvp(i*w[1]^2*w[2], w, [1, 0])[1] for i in 1..3)": 2 * 6 * 5.0,
    "sum(hvp(sum(r^3), r, r)[1] for i in 1..2)": 2 * 6 * 9.0,
}


@pytest.mark.parametrize("text", INSIDE)
def test_products_with_directions_inside_loops(text):
    assert np.allclose(tp.parse(HEAD + "var w = [3, 5], r = [3, 1]\n" + text).value(), INSIDE[text], rtol=1e-13)


DERIVATIVES = [
    "sum(hvp(sum(w^3), w, w*w[1]))",
    "sum(jvp(w^2, w, sin(w)))",
    "sum(100*(w[i+1] - w[i]^2)^2 + (1 - w[i])^2 for i in 1..5)",
    "sum(w[i]*w[j]*sin(w[j]) for i in 1..6, j in i..6)",
    "sum(sum(w[j]^2 for j in max(1,i-2)..min(6,i+1))^2 for i in 1..6)",
    "prod(w[i] for i in 1..6 if mod(i,2)==0)*max(w[i]*i for i in 1..6)",
    "sum(prod(w[j] for j in 1..i) for i in 1..6)",
    "sum(w[mod(3*i, 6)+1]*w[i]^2 for i in 1..6)",
    "sum((if k == 1 then 0 else w[k-1])*w[k] for k in 1..6)",
    "sum(logsumexp(w[k]*i for k in 1..6) for i in 1..3)",
    "sum(x*x for x in [w[i]*w[1] for i in 1..6])",
    "u(t) = tanh(w[1]*t + w[2])\nr(t) = grad(grad(u(t), t), t) + u(t)\nsum(r(i/5)^2 for i in 1..5)",
    "sum(norm(P[i, :] - P[j, :]) for i in 1..2, j in 1..3 if i != j)",
    "fold(s = w[1] for k in 1..6: s*w[k] + cos(s))",
    "fold(s = [w[1], w[2]] for k in 1..50: s + 0.01*[s[2], -sin(s[1])])[1]",
    "(a, b) = fold(a = w[1], b = w[2] for k in 1..40: (a + 0.1*b, b - 0.1*a*w[3]))\na*b",
    "sum(scan(s = w[1] for k in 1..40: s + 0.1*w[2]*s*(1 - s)))",
    "sum(fold(s = w[i] for k in 1..3: s^2 + w[k]) for i in 1..6)",
]


@pytest.mark.parametrize("text", DERIVATIVES)
def test_derivatives(text):
    head = "var w = [0.5, -0.3, 0.8, 1.1, -0.7, 0.4]\nconst P0 = [[1,2],[3,5],[8,13]]\nP = w[1]*P0 + w[2]^2\n"
    problem = tp.parse(head + text)
    report = problem.check()
    assert report.ok, report.derivatives
    eager, traced = problem.derivatives(order=2), problem.compile("numpy").derivatives(order=2)
    assert np.allclose(eager.gradient["w"], traced.gradient["w"], rtol=1e-13, atol=1e-15)
    assert np.allclose(eager.hessian["w"]["w"], traced.hessian["w"]["w"], rtol=1e-12, atol=1e-13)


FAULTS = {
    "[w[i] for i in 1..7]": ("index", "there is no entry 7 of 6"),
    "sum(w[i] for i in 1..1.5)": ("value", "whole number"),
    "sum(w[i/2] for i in 1..3)": ("index", "whole number"),
    "[w[j] for i in 1..3, j in 1..i]": ("shape", "as many entries"),
    "max(w[i] for i in 1..0)": ("shape", "no entries"),
    "sum(w[i] for i in 1..w[1])": ("value", "known before anything runs"),
    "sum(w[i] for i in 1..6 if w[i] > 0)": ("value", "known before anything runs"),
    "fold(s = [1, 2] for k in 1..3: [s[1], s[2], 1])": ("shape", "a step makes it 3 entries"),
    "fold(s = 0 for k in 1..7: s + w[k])": ("index", "there is no entry 7 of 6"),
    "fold(a = 0, b = 1 for k in 1..3: a + b)": ("type", "1 values for 2 states"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults(text):
    code, words = FAULTS[text]
    with pytest.raises(tp.TapeError) as caught:
        tp.parse("var w = [0.5, -0.3, 0.8, 1.1, -0.7, 0.4]\n" + text)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.place.line == 2


@pytest.mark.parametrize("n", [1, 31, 32, 33, 34, 100, 1000])
def test_checkpoints_give_the_same_numbers(n):
    text = f"var a = 0.7\nvar s0 = 0.2\nfold(s = s0 for k in 1..{n}: s + 0.01*a*s*(1 - s) + 1e-4*k)"
    result = tp.parse(text).derivatives()

    def plain(a, s):
        for k in range(1, n + 1):
            s = s + 0.01 * a * s * (1 - s) + 1e-4 * k
        return s

    h = 1e-150
    assert result.value == pytest.approx(plain(0.7, 0.2), rel=1e-13)
    assert result.gradient["a"] == pytest.approx(plain(0.7 + 1j * h, 0.2).imag / h, rel=1e-12)
    assert result.gradient["s0"] == pytest.approx(plain(0.7, 0.2 + 1j * h).imag / h, rel=1e-12)


def test_transposes_inside_loops() -> None:
    value = tp.parse("A = [[1,2],[3,4],[5,6]]\n[(A*k)' for k in 1..2]").value()
    A = np.array([[1.0, 2], [3, 4], [5, 6]])
    assert np.array_equal(value, [A.T, 2 * A.T])
