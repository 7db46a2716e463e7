"""A module of LLVM text that is being written: its functions, and the list of the memory that they work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tapecli.core import Array
from tapecli.engines.native.ir import Code, Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.layout import Slot
from tapecli.ops.lowering import Table


class Module:
    """Functions, declarations and slots of one program. `scalar` is LLVM's float type, `width` the host's lanes."""

    def __init__(self, scalar: str, width: int, attributes: str) -> None:
        self.scalar = scalar
        self.width = width
        self.attributes = attributes
        self.functions: list[str] = []
        #: what people are told before a function, by its name; not part of the program
        self.remarks: dict[str, list[str]] = {}
        self.declared: set[str] = set()
        #: the names of functions that others share
        self.shared: set[str] = set()
        self.slots: list[Slot] = []
        self.scratch = 0
        self._tables: dict[Table, int] = {}
        self._library: dict[tuple[str, str, int], str] = {}
        self._names = 0

    @property
    def size(self) -> int:
        """The bytes of one number."""
        return 8 if self.scalar == "double" else 4

    @property
    def text(self) -> str:
        return "\n".join([*self.functions, *sorted(self.declared)]) + "\n"

    @property
    def annotated(self) -> str:
        """The text with its remarks, for people."""
        lines = []
        for function in self.functions:
            name = function.partition("(")[0].rpartition("@")[2]
            lines += ["", *[f"; {remark}" for remark in self.remarks.get(name, ())], function]
        return "\n".join([*lines, "", *sorted(self.declared)]) + "\n"

    def slot(self, what: str, size: int, content: Array | None = None) -> int:
        self.slots.append(Slot(what, size, content))
        return len(self.slots) - 1

    def table(self, table: Table) -> int:
        if table not in self._tables:
            self._tables[table] = self.slot("table", table.array.size, table.array)
        return self._tables[table]

    def name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}{self._names}"

    def reserve(self, count: int) -> int:
        """Scratch memory for so many entries: where it begins, in bytes."""
        at = self.scratch
        self.scratch += -(-count * self.size // 64) * 64
        return at

    def function_call(self, lanes: Lanes, name: str, values: Sequence[Val]) -> Val:
        """A call of a function of the vector library, which is defined once for each type."""
        key = (name, lanes.scalar, lanes.lanes)
        if key not in self._library:
            from tapecli.engines.native.library import function

            self._library[key] = f"@{name}.{lanes.scalar}.{lanes.lanes}"
            code = Code(self)
            own = Lanes(code, lanes.scalar, lanes.lanes, inline=True)
            args = [Val(code, f"%x{k}", v.scalar, v.lanes) for k, v in enumerate(values)]
            result = function(name)(own, *args)
            takes = ", ".join(a.typed for a in args)
            head = f"define internal {result.type} {self._library[key]}({takes}) {self.attributes}"
            self.functions.append("\n".join([head + " {", "entry:", *code.lines, f"  ret {result.typed}", "}"]))
            self.declared |= code.declared
        text = ", ".join(v.typed for v in values)
        x = values[0]
        return lanes.code.emit(f"call {x.type} {self._library[key]}({text})", x.scalar, x.lanes)


class Function:
    """A function that is being written: its allocations, and the site at its entry."""

    def __init__(self, module: Module, name: str, parameters: str, result: str = "void") -> None:
        self.module = module
        self.name = name
        self.parameters = parameters
        self.result = result
        self.entry = Code(module)
        self.entry.declared = module.declared
        self.allocations: list[str] = []
        self._pointers: dict[Any, Val] = {}

    def allocate(self, type_: str) -> Val:
        name = f"%{self.entry.fresh('a')}"
        self.allocations.append(f"  {name} = alloca {type_}")
        return Val(self.entry, name, "ptr", 1)

    def pointer(self, slot: int) -> Val:
        """The memory of a slot."""
        known = self._pointers.get(slot)
        if known is None:
            at = self.entry.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
            known = self._pointers[slot] = self.entry.emit(f"load ptr, ptr {at.name}", "ptr")
        return known

    def place(self, slot: int, pointer: Val) -> None:
        """Lets a slot stand for other memory from here on."""
        self._pointers[slot] = pointer

    def scratch(self, offset: int) -> Val:
        key = ("scratch", offset)
        known = self._pointers.get(key)
        if known is None:
            known = self._pointers[key] = self.entry.emit(f"getelementptr i8, ptr %scratch, i64 {offset}", "ptr")
        return known

    def close(self, result: Val | None = None) -> None:
        """Adds the function to its module."""
        head = f"define {self.result} @{self.name}({self.parameters}) {self.module.attributes} {{"
        back = "void" if result is None else result.typed
        lines = [head, "entry:", *self.allocations, *self.entry.lines, f"  ret {back}", "}"]
        self.module.functions.append("\n".join(lines))


def loop(
    function: Function, count: int | Val, body: Callable[[Val], None], first: int | Val = 0, step: int = 1
) -> None:
    """A loop from `first` on in steps, below `count`, at the end of a function."""
    site = function.entry
    name, counter = site.fresh("C"), function.allocate("i64")
    begin = first if isinstance(first, Val) else site.constant(first, "i64")
    site.do(f"store {begin.typed}, ptr {counter.name}")
    site.do(f"br label %{name}.head")
    site.block(f"{name}.head")
    i = site.emit(f"load i64, ptr {counter.name}", "i64")
    more = i < count
    site.do(f"br i1 {more.name}, label %{name}.body, label %{name}.exit")
    site.block(f"{name}.body")
    body(i)
    after = site.emit(f"load i64, ptr {counter.name}", "i64") + step
    site.do(f"store i64 {after.name}, ptr {counter.name}")
    site.do(f"br label %{name}.head")
    site.block(f"{name}.exit")


def load(function: Function, base: Val, at: Val, scalar: str, lanes: int = 1) -> Val:
    """The entry (or vector) at a distance in entries, read at the end of a function."""
    site = function.entry
    pointer = site.emit(f"getelementptr {scalar}, ptr {base.name}, {at.typed}", "ptr")
    typed = scalar if lanes == 1 else f"<{lanes} x {scalar}>"
    return site.emit(f"load {typed}, ptr {pointer.name}, align {4 if scalar == 'float' else 8}", scalar, lanes)


def copy(function: Function, source: Val, target: Val, count: int) -> None:
    """Copies so many entries, at the end of a function."""
    module, site = function.module, function.entry
    whole = count // module.width * module.width

    def move(i: Val, lanes: int) -> None:
        value = load(function, source, i, module.scalar, lanes)
        pointer = site.emit(f"getelementptr {module.scalar}, ptr {target.name}, {i.typed}", "ptr")
        site.do(f"store {value.typed}, ptr {pointer.name}, align {module.size}")

    if whole:
        loop(function, whole, lambda i: move(i, module.width), 0, module.width)
    if whole < count:
        loop(function, count, lambda i: move(i, 1), whole)


__all__ = ["Function", "Module", "copy", "load", "loop"]
