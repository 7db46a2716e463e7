"""Variables, constants and the `Tape` of the Python API, with the meaning people know from GradientTape.

A variable or a constant stands for its number. Where an op meets one, it is first replaced by what it stands for: the
number itself, or, inside a tape that watches it, that tape's box. Where GradientTape answers None or sums silently
(a used tape, a vector target, an integer constant), there is a clear error here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, Value, shape_of
from tapecli.derive import basis, constant_like, ones_like, zeros_like
from tapecli.errors import TapeError
from tapecli.ops.linear import reshape, stack
from tapecli.tape import Box, Recording, number_of

#: The tapes that are open, the innermost last; and the trace that is being made, if any.
_open: ContextVar[tuple[Tape, ...]] = ContextVar("open tapes", default=())
_trace: ContextVar[Any] = ContextVar("the running trace", default=None)


class Handle(Value):
    """A named place for a number: what variables and constants have in common."""

    __slots__ = ("__weakref__", "_value", "name")
    #: A handle is replaced by what it stands for before any box or node interprets.
    level = 1 << 62
    trainable = False

    def __init__(self, value: Any, dtype: Any = None, name: str = "") -> None:
        self._value = _array(value, dtype)
        self.name = name

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return shape_of(self._value)

    @property
    def dtype(self) -> Any:
        return self._value.dtype

    def read(self) -> Any:
        """The number now; inside a traced function, its symbol."""
        return self._value

    def numpy(self) -> Array:
        """The number as an array."""
        return np.array(self._value)

    def resolve(self) -> Any:
        value = self.read()
        for tape in _open.get():
            value = tape._boxed(self, value)
        return value

    def interpret(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return op(*[arg.resolve() if isinstance(arg, Handle) else arg for arg in args], **params)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self._known(), dtype=dtype)

    def __float__(self) -> float:
        return float(self._known())

    def _known(self) -> Any:
        """The number, where there is one now."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__.lower()}({self._value!r})"


def _array(value: Any, dtype: Any) -> Array:
    value = number_of(value._value if isinstance(value, Handle) else value)
    if isinstance(value, Value):
        raise TapeError(
            "type",
            "a variable or a constant begins with a number, and this value is not known while its function is traced",
            hint="make variables outside the traced function, and assign to them inside",
        )
    return np.array(value, dtype=dtype)


class Constant(Handle):
    """A number that tapes watch only when asked to (`tape.watch`)."""

    __slots__ = ()


class Variable(Handle):
    """A number that can be changed and that every tape watches when it is touched.

    `value` is a floating-point number or array; `dtype` float64 unless the value says otherwise.
    """

    __slots__ = ()
    trainable = True

    def __init__(self, value: Any, dtype: Any = None, name: str = "") -> None:
        super().__init__(value, dtype, name)
        if not np.issubdtype(self._value.dtype, np.floating):
            raise TapeError(
                "type",
                f"a variable of integers has no derivative: {value!r}",
                hint="write 1.0 instead of 1, or give dtype=float",
            )

    def read(self) -> Any:
        trace = _trace.get()
        return self._value if trace is None else trace.read(self)

    def _known(self) -> Any:
        if _trace.get() is not None:
            raise _unknown()
        return self._value

    def assign(self, value: Any) -> Variable:
        """Sets the number; the shape stays."""
        trace = _trace.get()
        if isinstance(value, Handle):
            value = value.resolve()
        value = value if isinstance(value, Value) else np.asarray(value)
        if shape_of(value) != self.shape:
            raise TapeError("shape", f"a variable of shape {self.shape} cannot be set to shape {shape_of(value)}")
        if trace is not None:
            trace.write(self, _unboxed(value))
        else:
            self._value = np.array(number_of(value), dtype=self.dtype)
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts from the number."""
        return self.assign(_unboxed(self.read()) - value)

    def assign_add(self, value: Any) -> Variable:
        """Adds to the number."""
        return self.assign(_unboxed(self.read()) + value)


def _unboxed(value: Any) -> Any:
    return number_of(value)


class Symbol(Handle):
    """An argument of a function under trace: stands for a number that is given at each call."""

    __slots__ = ("_dtype",)

    def __init__(self, node: Any, dtype: Any, name: str) -> None:
        self._value = node
        self._dtype = np.dtype(dtype)
        self.name = name

    @property
    def dtype(self) -> Any:
        return self._dtype

    def numpy(self) -> Array:
        raise _unknown()

    def _known(self) -> Any:
        raise _unknown()


def _unknown() -> TapeError:
    return TapeError(
        "type", "a number is not known while a function is traced", hint="use ops, and where(…) for choices"
    )


def constant(value: Any, dtype: Any = None, name: str = "") -> Constant:
    """A constant; not watched unless `tape.watch` says so."""
    return Constant(value, dtype, name)


class Tape:
    """Records ops inside its `with` block and gives derivatives of what was recorded.

    Variables are watched when they are touched, constants when `watch` names them. A tape gives one answer and lets go
    of its record, unless it is persistent. Tapes nest: the derivatives that an inner tape gives are recorded by the
    outer one.
    """

    def __init__(self, persistent: bool = False, watch_variables: bool = True) -> None:
        self.persistent = persistent
        self.watch_variables = watch_variables
        self._recording = Recording()
        self._recording.active = False
        self._boxes: dict[int, tuple[Handle, list[Box]]] = {}
        self._watched: dict[int, Handle] = {}
        self._used = False

    def __enter__(self) -> Tape:
        if self._recording.active or self._recording.entries or self._used:
            raise TapeError("usage", "a tape is entered once", hint="make a new Tape()")
        self._recording = Recording()  # tapes nest in the order they are entered, not in that they are made
        _open.set((*_open.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        self._recording.active = False
        _open.set(tuple(tape for tape in _open.get() if tape is not self))

    def watch(self, *handles: Any) -> None:
        """Records what happens to these constants from here on."""
        for handle in handles:
            if not isinstance(handle, Handle):
                raise TapeError(
                    "type",
                    f"a tape watches constants and variables, not {type(handle).__name__}",
                    hint="make it one: tp.constant(1.0)",
                )
            if not np.issubdtype(handle.dtype, np.floating):
                raise TapeError(
                    "type", f"an integer constant has no derivative: {handle!r}", hint="write 1.0 instead of 1"
                )
            self._watched[id(handle)] = handle

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside this block nothing is recorded."""
        before, self._recording.active = self._recording.active, False
        try:
            yield
        finally:
            self._recording.active = before

    def reset(self) -> None:
        """Forgets everything recorded so far."""
        before = self._recording
        self._recording = Recording()
        self._recording.level, self._recording.active = before.level, before.active
        before.active = False
        self._boxes.clear()
        self._used = False

    def gradient(self, target: Any, sources: Any, *, seed: Any = None, unconnected: str = "zero") -> Any:
        """The derivative of a scalar target to each source, in the structure of `sources` (one, or a list or tuple).

        `seed` is the cotangent of a target that is no scalar. `unconnected` says what a source gets that the target
        does not depend on: "zero", "none", or "error".
        """
        box = self._target(target)
        shape = shape_of(box if box is not None else target)
        if seed is None and shape:
            raise TapeError(
                "shape",
                f"gradient() takes the derivative of a number, and this target has shape {shape}",
                hint="use jacobian(), or gradient(sum(target), …), or give a seed of the target's shape",
            )
        seed = seed if seed is None or isinstance(seed, Value) else np.asarray(seed)
        if seed is not None and shape_of(seed) != shape:
            raise TapeError("shape", f"the seed has shape {shape_of(seed)}, the target {shape}")

        def sweep(boxes: list[Box]) -> list[Any]:
            if box is None:
                return [None] * len(boxes)
            return self._recording.sweep(box, boxes, ones_like(box) if seed is None else constant_like(box, seed))

        return self._answer(sources, unconnected, (), sweep)

    def jacobian(self, target: Any, sources: Any, *, unconnected: str = "zero") -> Any:
        """The derivative of every entry of the target: (shape of target) + (shape of source) for each source."""
        box = self._target(target)
        shape = shape_of(box if box is not None else target)

        def sweep(boxes: list[Box]) -> list[Any]:
            if box is None:
                return [None] * len(boxes)
            rows = [self._recording.sweep(box, boxes, basis(box, k)) for k in range(math.prod(shape))]
            return [_block([row[j] for row in rows], shape, boxes[j]) for j in range(len(boxes))]

        return self._answer(sources, unconnected, shape, sweep)

    def _answer(self, sources: Any, unconnected: str, shape: Shape, sweep: Callable[[list[Box]], list[Any]]) -> Any:
        if unconnected not in ("zero", "none", "error"):
            raise TapeError("usage", f"unconnected is 'zero', 'none' or 'error', not {unconnected!r}")
        if self._used:
            raise TapeError(
                "usage",
                "this tape has given its one answer",
                hint="make it Tape(persistent=True), or ask for all sources at once",
            )
        single = not isinstance(sources, (list, tuple))
        asked = [sources] if single else list(sources)
        boxes = [self._sources(source) for source in asked]
        flat = [box for group in boxes for box in group]
        answers = []
        with np.errstate(all="ignore"):
            found = iter(sweep(flat))
            for source, group in zip(asked, boxes, strict=True):
                parts = [part for part in (next(found) for _ in group) if part is not None]
                answers.append(_scalar(self._total(parts, source, shape, unconnected)))
        if not self.persistent:
            self._used = True
            self._recording.active = False
            self._recording.entries.clear()
        if single:
            return answers[0]
        return type(sources)(*answers) if hasattr(sources, "_fields") else type(sources)(answers)

    def _total(self, parts: list[Any], source: Any, shape: Shape, unconnected: str) -> Any:
        if parts:
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            return total
        if unconnected == "none":
            return None
        if unconnected == "error":
            raise TapeError(
                "value",
                f"the target does not depend on {source!r}",
                hint="watch it before it is used, or allow unconnected='zero'",
            )
        inner = source.read() if isinstance(source, Handle) else number_of(source)
        return constant_like(inner, np.zeros(shape + shape_of(inner)))

    def _target(self, target: Any) -> Box | None:
        """The target as a box of this tape, or None where it was not recorded here."""
        if isinstance(target, Handle):
            group = self._sources(target)
            if not group and self._watches(target):  # the target is a source that no op has touched
                group = [self._recording.watch(target.read())]
                self._boxes[id(target)] = (target, group)
            target = group[-1] if group else None
        while isinstance(target, Box) and target.recording.level > self._recording.level:
            target = target.value
        return target if isinstance(target, Box) and self._recording.owns(target) else None

    def _sources(self, source: Any) -> list[Box]:
        if isinstance(source, Handle):
            return self._boxes.get(id(source), (source, []))[1]
        if not isinstance(source, Value):
            raise TapeError(
                "type", f"a source is a variable, a constant or a recorded value, not {type(source).__name__}"
            )
        box = self._target(source)
        return [] if box is None else [box]

    def _watches(self, handle: Handle) -> bool:
        return id(handle) in self._watched or (handle.trainable and self.watch_variables)

    def _boxed(self, handle: Handle, value: Any) -> Any:
        """`value`, which `handle` stands for, as a box of this tape where the tape watches it."""
        if not (self._recording.active and self._watches(handle)):
            return value
        _, boxes = self._boxes.setdefault(id(handle), (handle, []))
        if not boxes or boxes[-1].value is not value:
            boxes.append(self._recording.watch(value))
        return boxes[-1]


def _scalar(answer: Any) -> Any:
    """A number as NumPy's scalar, whichever way it was computed."""
    return answer[()] if isinstance(answer, np.ndarray) else answer


def _block(rows: Sequence[Any], shape: Shape, box: Box) -> Any:
    if all(row is None for row in rows):
        return None
    filled = [zeros_like(box.value) if row is None else row for row in rows]
    return reshape(stack(*filled), shape=shape + box.shape)
