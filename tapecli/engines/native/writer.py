"""A plan as functions of an LLVM module.

Every function takes `ctx`, an array of pointers to all memory by slot, so that one program serves all points;
`scratch`, memory of the calling thread alone; and, for passes, the blocks to run.
"""

from __future__ import annotations

import math

from tapecli.core import Op
from tapecli.engines.native.frame import Place, strides_of
from tapecli.engines.native.ir import Code, Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.layout import Step
from tapecli.engines.native.lower import seen_through, weight
from tapecli.engines.native.module import Function, Module, load, loop
from tapecli.engines.native.nest import Nest
from tapecli.engines.native.plan import Pass, Plan, Stage, Task
from tapecli.graph import LITERAL, Node


class Writer:
    """Writes the functions of one plan into a module. `inputs` are the slots of the input leaves."""

    def __init__(self, module: Module, plan: Plan, inputs: dict[int, int]) -> None:
        self.module = module
        self.plan = plan
        self.slots: dict[int, int] = dict(inputs)
        self.locals: dict[int, tuple[int, int]] = {}
        self.steps: list[Step] = []
        for node in plan.stored.values():
            self.slots.setdefault(node.index, module.slot("value", node.size))

    def slot(self, node: Node) -> int:
        """The slot of what lies in memory."""
        node = Plan.root(node)
        if node.index not in self.slots:
            assert node.op is LITERAL, node
            self.slots[node.index] = self.module.slot("literal", node.size, node.params["value"])
        return self.slots[node.index]

    def write(self) -> list[Step]:
        for p in self.plan.passes:
            if p.alone is not None:
                self._alone(p.alone)
            else:
                self._pass(p)
        return self.steps

    def _alone(self, task: Task) -> None:
        from tapecli.engines.native import recurrences, scatters  # late: few programs have any

        node = task.node
        if task.what == "scatters":
            step = scatters.write(self, node)
        elif task.what == "repeats" and recurrences.whole(node.params["body"], self.module.scalar):
            step = recurrences.write(self, node)
        else:
            step = Step("outside", "", 1, None, node, 0.0)
        for arg in node.args:
            self.slot(seen_through(arg) if task.what == "outside" else arg)  # as the plan has stored it
        self.steps.append(step)

    def inside(self, plan: Plan, inputs: dict[int, int]) -> Writer:
        """Another plan's functions, in the same module."""
        return Writer(self.module, plan, inputs)

    @property
    def straight(self) -> bool:
        """Whether the plan is straight code: numbers made of numbers, without a loop."""
        return all(p.alone is None and p.rows is None for p in self.plan.passes)

    def write_straight(self, function: Function) -> None:
        """Writes a straight plan at the end of a function."""
        for p in self.plan.passes:
            self._stages(p, function, [function.entry, function.entry], None, {}, None)

    # ---- a pass

    def _pass(self, p: Pass) -> None:
        module = self.module
        name = module.name("pass")
        function = Function(module, name, "ptr %ctx, ptr %scratch, i64 %b0, i64 %b1")
        block, blocks = p.block, p.blocks
        partials = self._partials(p)
        for task in p.tasks:
            if task.node.index in self.plan.local and task.node.index not in self.locals:
                inner = task.node.size // (task.rows or 1)
                self.locals[task.node.index] = (module.reserve(block * inner), block)
        module.remarks[name] = self._remarks(p)
        if p.rows is None:
            self._stages(p, function, [function.entry, function.entry], None, partials, None)
        else:
            self._blocks(p, function, block, partials)
        function.close()
        finish = self._finish(p, partials, blocks) if blocks > 1 and partials else None
        self.steps.append(Step("pass", name, blocks, finish, None, _work(p)))

    def _remarks(self, p: Pass) -> list[str]:
        """What a pass computes, and where in the source it stands."""
        rows = "numbers" if p.rows is None else f"{p.rows} rows in {p.blocks} block{'s' * (p.blocks > 1)}"
        lines = [f"{rows}, {len(p.stages)} loop{'s' * (len(p.stages) > 1)}"]
        for k, stage in enumerate(p.stages, 1):
            lines.append(f"  loop {k} over {'×'.join(map(str, stage.domain)) or 'one point'}")
            for task in stage.tasks:
                node, place = task.node, task.node.place
                kept = (
                    "in memory" if node.index in self.slots else "for later loops" if node.index in self.locals else ""
                )
                where = "" if place is None else f"line {place.line}, column {place.column}"
                lines.append(f"    {node.op.name:<12} {kept:<16} {where}".rstrip())
        return lines

    def _blocks(self, p: Pass, function: Function, block: int, partials: dict[int, tuple[int, int]]) -> None:
        entry = function.entry
        counter = function.allocate("i64")
        site = entry.part("B.body")
        b = site.emit(f"load i64, ptr {counter.name}", "i64")
        r0 = b * block
        assert p.rows is not None
        if p.blocks == 1:
            r0, r1 = site.constant(0, "i64"), site.constant(p.rows, "i64")
        else:
            top = r0 + block
            over = top > p.rows
            r1 = Lanes(site, "double", 1).select(over, site.constant(p.rows, "i64"), top)
        self._stages(p, function, [entry, site], (r0, r1), partials, b)
        entry.do(f"store i64 %b0, ptr {counter.name}")
        entry.do("br label %B.head")
        entry.block("B.head")
        now = entry.emit(f"load i64, ptr {counter.name}", "i64")
        more = entry.emit(f"icmp slt i64 {now.name}, %b1", "i1")
        entry.do(f"br i1 {more.name}, label %B.body, label %B.exit")
        entry.block("B.body")
        entry.append(site)
        after = entry.emit(f"load i64, ptr {counter.name}", "i64") + 1
        entry.do(f"store i64 {after.name}, ptr {counter.name}")
        entry.do("br label %B.head")
        entry.block("B.exit")

    def _stages(
        self,
        p: Pass,
        function: Function,
        sites: list[Code],
        rows: tuple[Val, Val] | None,
        partials: dict[int, tuple[int, int]],
        block: Val | None,
    ) -> None:
        pointers: dict[int, Val] = {}

        def partial(task: Task) -> Val:
            """Where the sums of this block go."""
            slot, size = partials[task.node.index]
            if slot not in pointers:
                assert block is not None
                base = function.pointer(slot)
                at = Val(sites[1], block.name, "i64", 1) * size
                pointers[slot] = sites[1].emit(
                    f"getelementptr {self.module.scalar}, ptr {base.name}, i64 {at.name}", "ptr"
                )
            return pointers[slot]

        def place(node: Node) -> Place:
            root = Plan.root(node)
            if root.index in self.locals and root.index not in self.slots:
                return Place(function.scratch(self.locals[root.index][0]), strides_of(node.shape), True)
            return Place(function.pointer(self.slot(node)), strides_of(node.shape), False)

        def target(task: Task) -> Place | None:
            node = task.node
            if task.what == "piece":
                return self._piece(function, task)
            if task.node.index in partials:
                return Place(partial(task), strides_of(node.shape), False)
            if node.index in self.slots or node.index in self.locals:
                return place(node)
            return None

        for stage in p.stages:
            Nest(
                stage,
                self.module.scalar,
                self.module.width,
                sites[:2],
                function.allocate,
                place,
                target,
                lambda table: function.pointer(self.module.table(table)),
                None if rows is None else self._rows(p, stage, rows, sites[1]),
            ).write()

    @staticmethod
    def _rows(p: Pass, stage: Stage, rows: tuple[Val, Val], site: Code) -> tuple[Val, Val]:
        """The rows of a block in a stage, which may have fewer than the pass."""
        own = stage.domain[0]
        if own == p.rows:
            return rows
        end = site.constant(own, "i64")
        lanes = Lanes(site, "double", 1)
        low, high = (lanes.select(Val(site, r.name, "i64", 1) > own, end, r) for r in rows)
        return low, high

    def _piece(self, function: Function, task: Task) -> Place:
        node = task.node
        axis = node.op.native.axis(node.params)
        strides = strides_of(node.shape)
        before = sum(arg.shape[axis] for arg in node.args[: task.part])
        return Place(function.pointer(self.slots[node.index]), strides, False, before * strides[axis])

    # ---- sums over blocks

    def _partials(self, p: Pass) -> dict[int, tuple[int, int]]:
        """The slot of each crossing reduction's block sums, and how many entries a block has of them."""
        if p.blocks == 1:
            return {}
        found = {}
        for task in p.tasks:
            if task.what == "reduces" and task.crossing:
                size = max(task.node.size, 1)
                found[task.node.index] = (self.module.slot("partials", size * p.blocks), size)
        return found

    def _finish(self, p: Pass, partials: dict[int, tuple[int, int]], blocks: int) -> str:
        """A function that adds up the sums of blocks, with compensation (Neumaier, ZAMM 54, 1974)."""
        name = self.module.name("finish")
        function = Function(self.module, name, "ptr %ctx, ptr %scratch")
        for task in p.tasks:
            if task.node.index in partials:
                slot, size = partials[task.node.index]
                self._combine(function, task, function.pointer(slot), size, blocks)
        function.close()
        return name

    def _combine(self, function: Function, task: Task, partial: Val, size: int, blocks: int) -> None:
        out = function.pointer(self.slots[task.node.index])
        given = f"ptr {out.name}, ptr {partial.name}, i64 {size}, i64 {blocks}"
        function.entry.do(f"call void @{self._totals(task.node.op)}({given})")

    def _totals(self, op: Op) -> str:
        """The function that combines what blocks found, written once for each kind of reduction:
        `(out, partial, size, blocks)`, where a block has `size` entries."""
        name = f"totals.{op.name}"
        if name in self.module.shared:
            return name
        self.module.shared.add(name)
        function = Function(self.module, name, "ptr %out, ptr %partial, i64 %size, i64 %blocks")
        site, scalar, combine = function.entry, self.module.scalar, op.native.combine
        partial, size, blocks = (Val(site, f"%{given}", "i64", 1) for given in ("partial", "size", "blocks"))
        total, rest = function.allocate(scalar), function.allocate(scalar)
        start = site.constant(op.native.start, scalar)

        def entry(j: Val) -> None:
            site.do(f"store {start.typed}, ptr {total.name}")
            site.do(f"store {site.constant(0.0, scalar).typed}, ptr {rest.name}")

            def add(b: Val) -> None:
                x = load(function, partial, b * size + j, scalar)
                s = site.emit(f"load {scalar}, ptr {total.name}", scalar)
                lanes = Lanes(site, scalar, 1)
                if combine is not None:
                    site.do(f"store {combine(lanes, s, x).typed}, ptr {total.name}")
                    return
                c = site.emit(f"load {scalar}, ptr {rest.name}", scalar)
                after = s + x
                part = after - s
                lost = (s - (after - part)) + (x - part)
                site.do(f"store {after.typed}, ptr {total.name}")
                site.do(f"store {(c + lost).typed}, ptr {rest.name}")

            loop(function, blocks, add)
            lanes = Lanes(site, scalar, 1)
            s = site.emit(f"load {scalar}, ptr {total.name}", scalar)
            c = site.emit(f"load {scalar}, ptr {rest.name}", scalar)
            finite = (c - c).eq(0.0)  # of infinite sums nothing was lost
            result = s if combine is not None else lanes.select(finite, s + c, s)
            pointer = site.emit(f"getelementptr {scalar}, ptr %out, i64 {j.name}", "ptr")
            site.do(f"store {result.typed}, ptr {pointer.name}")

        loop(function, size, entry)
        function.close()
        return name

    def driver(self, name: str) -> None:
        """A function that runs all passes, one after the other, where nothing is left to NumPy."""
        function = Function(self.module, name, "ptr %ctx, ptr %scratch")
        for step in self.steps:
            function.entry.do(f"call void @{step.name}(ptr %ctx, ptr %scratch, i64 0, i64 {step.blocks})")
            if step.finish is not None:
                function.entry.do(f"call void @{step.finish}(ptr %ctx, ptr %scratch)")
        function.close()


def _work(p: Pass) -> float:
    """About how many instructions a pass takes."""
    total = 0.0
    for stage in p.stages:
        each = sum(weight(task.node) if task.what == "value" else 1 for task in stage.tasks)
        total += each * math.prod(stage.domain)
    return total
