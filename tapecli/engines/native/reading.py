"""Values of a loop nest: what a node is at the present point, computed or loaded, in the outermost loop in which it is
the same."""

from __future__ import annotations

from collections.abc import Callable

from tapecli.engines.native.frame import Frame, Place
from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.lower import kind, source
from tapecli.engines.native.plan import Use, inlined
from tapecli.graph import LITERAL, Node
from tapecli.ops.lowering import Coord, Coords, Guard, broadcast_from, fixed


class Reader:
    """Writes values; `place(node)` says where those lie that are in memory, `inside` are the nodes of the stage."""

    def __init__(self, frame: Frame, place: Callable[[Node], Place]) -> None:
        self.frame = frame
        self.place = place
        self.inside = {task.node.index for task in frame.stage.tasks if task.what == "value"}

    def value(self, node: Node, at: Coords, guards: tuple[Guard, ...]) -> Val:
        """The value of a node at a place, in lanes or as a scalar where it is the same in all of them."""
        frame = self.frame
        node, at, more = source(node, at)
        if node.op is LITERAL and not node.shape:
            return frame.sites[0].constant(float(node.params["value"]), frame.scalar)
        use = Use(node, at, guards + more)
        spot = tuple(frame.unrolled.get(c.axis, -1) if c.axis is not None else -1 for c in at) if frame.unrolled else ()
        varying = bool(use.guards) and tuple(frame.unrolled.items())
        key = (node.index, at, guards, more, spot, varying)
        known = frame.memo.get(key)
        if known is not None:
            frame.assumptions += key in frame.tainted
        else:
            before = frame.assumptions
            own = kind(node) == "elementwise" and ((use.identity and node.index in self.inside) or inlined(use))
            known = self._computed(node, at, use.guards, more) if own else self._loaded(use)
            frame.remember(key, known, frame.depths.get(known.name, 0))
            if frame.assumptions != before:
                frame.tainted.add(key)
        return known

    def _computed(self, node: Node, at: Coords, guards: tuple[Guard, ...], more: tuple[Guard, ...]) -> Val:
        frame = self.frame
        args = [self.value(arg, broadcast_from(at, arg.shape), guards) for arg in node.args]
        wide = any(arg.lanes > 1 for arg in args)
        depth = max((frame.depths.get(arg.name, 0) for arg in args), default=0)
        if wide:
            depth = len(frame.sites) - 1
            args = [frame.vector(arg) for arg in args]
        site = frame.sites[depth]
        lanes = Lanes(
            site,
            frame.scalar,
            frame.lanes if wide else 1,
            inline=frame.inline and frame.masked is None,
        )
        result: Val = node.op.native(lanes, *[frame.move(arg, depth) for arg in args], **node.params)
        if result.name.startswith("%"):
            frame.depths[result.name] = (
                max(depth, frame.depths.get(result.name, 0))
                if result.name not in {a.name for a in args}
                else frame.depths[result.name]
            )
        for guard in more:
            result = self._guarded(result, guard)
        return result

    def _guarded(self, value: Val, guard: Guard) -> Val:
        """`value` where a guard holds, else 0."""
        frame = self.frame
        mask = self._mask(guard)
        if mask is None:
            return value
        if mask.lanes > 1 and value.lanes == 1:
            value = frame.vector(value)
        depth = max(frame.depths.get(mask.name, 0), frame.depths.get(value.name, 0))
        if value.lanes > 1:
            depth = len(frame.sites) - 1
            mask = frame.sites[depth].splat(frame.move(mask, depth), frame.lanes)
        lanes = Lanes(frame.sites[depth], frame.scalar, value.lanes)
        result = lanes.select(frame.move(mask, depth), value, 0.0)
        frame.depths[result.name] = depth
        return result

    def _mask(self, guard: Guard) -> Val | None:
        """Where a guard holds; None where that is taken for granted (or holds everywhere)."""
        frame = self.frame
        c = guard.position
        if c.axis is None or c.axis in frame.unrolled:
            spot = c.offset if c.axis is None else int(c.values[frame.unrolled[c.axis]])
            return None if guard.low <= spot < guard.high else frame.sites[0].constant(False, "i1")
        key = ("guard", guard)
        if c.axis == frame.vector_axis and c.table is None and frame.masked is None and not frame.chunked:
            frame.assumed[guard] = None
            frame.assumptions += 1
            return None
        known = frame.memo.get(key)
        if known is not None:
            return known
        position, depth = self._positions(c)
        mask = (position >= guard.low) & (position < guard.high)
        return frame.remember(key, mask, depth)

    def _positions(self, c: Coord) -> tuple[Val, int]:
        """The position of a coordinate in every lane (a scalar where it is the same in all), and its depth."""
        frame = self.frame
        assert c.axis is not None
        i, depth = frame.axes[c.axis]
        vector = c.axis == frame.vector_axis
        if vector:
            depth = len(frame.sites) - 1
        site = frame.sites[depth]
        if c.table is not None:
            pointer = site.emit(f"getelementptr i64, ptr {frame.table(c.table).name}, i64 {i.name}", "ptr")
            if not vector or frame.lanes == 1:
                found = site.emit(f"load i64, ptr {pointer.name}", "i64")
            elif frame.masked is None:
                found = site.emit(f"load <{frame.lanes} x i64>, ptr {pointer.name}, align 8", "i64", frame.lanes)
            else:
                found = frame.masked_load(pointer, f"<{frame.lanes} x i64>", "i64", frame.lanes, frame.masked, 8)
            return found, depth
        base = frame.scaled(frame.move(i, depth), c.scale) + c.offset
        if not vector or frame.lanes == 1:
            return base, depth
        steps = f"<{', '.join(f'i64 {k * c.scale}' for k in range(frame.lanes))}>"
        return site.splat(base, frame.lanes) + Val(site, steps, "i64", frame.lanes), depth

    def _loaded(self, use: Use) -> Val:
        frame = self.frame
        place = self.place(use.node)
        masks = []
        for guard in use.guards:
            mask = self._mask(guard)
            if mask is not None and mask.name == "false":
                return frame.sites[0].constant(0.0, frame.scalar)
            if mask is not None:
                masks.append(mask)
        tables = [(c, s) for c, s in zip(use.at, place.strides, strict=True) if c.table is not None]
        tables = [(c, s) for c, s in tables if c.axis not in frame.unrolled]
        plain = tuple(self._settled(c) if c.table is None or c.axis in frame.unrolled else fixed(0) for c in use.at)
        offset, step, depth = frame.offset(place, plain)
        spread: Val | None = None
        for c, stride in tables:
            position, known = self._positions(c)
            depth = max(depth, known)
            term = frame.scaled(frame.move(position, depth), stride)
            if position.lanes > 1:
                spread = term if spread is None else spread + term
            else:
                offset = frame.move(offset, depth) + term
        if spread is None and step == 0:
            return self._load_scalar(place, offset, depth, masks)
        return self._load_vector(place, offset, step, spread, masks)

    def _settled(self, c: Coord) -> Coord:
        """A coordinate on a written-out axis as the number that it is there."""
        frame = self.frame
        if c.axis in frame.unrolled and c.table is not None:
            return fixed(int(c.values[frame.unrolled[c.axis]]))
        return c

    def _load_scalar(self, place: Place, offset: Val, depth: int, masks: list[Val]) -> Val:
        """An entry that is the same in all lanes; with masks of its own, from a place that is safe where they fail."""
        frame = self.frame
        wide = [m for m in masks if m.lanes > 1]
        scalar = [m for m in masks if m.lanes == 1]
        depth = max([depth, *[frame.depths.get(m.name, 0) for m in scalar]])
        site = frame.sites[depth]
        offset = frame.move(offset, depth)
        lanes = Lanes(site, frame.scalar, 1)
        condition: Val | None = None
        for m in scalar:
            condition = frame.move(m, depth) if condition is None else frame.move(condition, depth) & m
        if condition is not None:
            offset = lanes.select(condition, offset, site.constant(0, "i64"))
        size = 8 if frame.scalar == "double" else 4
        address = frame.address(site, place.pointer, offset)
        value = site.emit(f"load {frame.scalar}, ptr {address.name}, align {size}", frame.scalar)
        if condition is not None:
            value = lanes.select(condition, value, 0.0)
        frame.depths[value.name] = depth
        if wide:
            depth = len(frame.sites) - 1
            value = frame.vector(value)
            for m in wide:
                value = Lanes(frame.sites[depth], frame.scalar, frame.lanes).select(frame.move(m, depth), value, 0.0)
            frame.depths[value.name] = depth
        return value

    def _load_vector(self, place: Place, offset: Val, step: int, spread: Val | None, masks: list[Val]) -> Val:
        frame = self.frame
        depth = len(frame.sites) - 1
        site = frame.sites[depth]
        mask = None if frame.masked is None else frame.move(frame.masked, depth)
        for m in masks:
            wide = site.splat(frame.move(m, depth), frame.lanes)
            mask = wide if mask is None else mask & wide
        size = 8 if frame.scalar == "double" else 4
        typed = frame.scalar if frame.lanes == 1 else f"<{frame.lanes} x {frame.scalar}>"
        address = frame.address(site, place.pointer, offset)
        if frame.lanes == 1:
            if mask is not None:
                offset = Lanes(site, frame.scalar, 1).select(mask, frame.here(offset), site.constant(0, "i64"))
            if spread is not None:
                whole = frame.here(offset) + spread
                if mask is not None:
                    whole = Lanes(site, frame.scalar, 1).select(mask, whole, site.constant(0, "i64"))
                offset = whole
            address = frame.address(site, place.pointer, offset)
            value = site.emit(f"load {frame.scalar}, ptr {address.name}", frame.scalar)
            value = value if mask is None else Lanes(site, frame.scalar, 1).select(mask, value, 0.0)
        elif spread is None and step == 1:
            if mask is None:
                value = site.emit(f"load {typed}, ptr {address.name}, align {size}", frame.scalar, frame.lanes)
            else:
                value = frame.masked_load(address, typed, frame.scalar, frame.lanes, mask, size)
        elif spread is None and step == -1 and mask is None:
            first = frame.address(site, address, site.constant(1 - frame.lanes, "i64"))
            turned = site.emit(f"load {typed}, ptr {first.name}, align {size}", frame.scalar, frame.lanes)
            order = ", ".join(f"i32 {k}" for k in reversed(range(frame.lanes)))
            value = site.emit(
                f"shufflevector {turned.typed}, {typed} poison, <{frame.lanes} x i32> <{order}>",
                frame.scalar,
                frame.lanes,
            )
        else:
            value = self._gather(address, step, spread, mask, typed, size)
        frame.depths[value.name] = depth
        return value

    def _gather(self, address: Val, step: int, spread: Val | None, mask: Val | None, typed: str, size: int) -> Val:
        frame = self.frame
        site = frame.sites[-1]
        lanes = frame.lanes
        index = Val(site, f"<{', '.join(f'i64 {k * step}' for k in range(lanes))}>", "i64", lanes)
        if spread is not None:
            index = frame.here(spread) + index if step else frame.here(spread)
        pointers = site.emit(f"getelementptr {frame.scalar}, ptr {address.name}, {index.typed}", "ptr", lanes)
        if mask is None:
            mask = site.constant(True, "i1", lanes)
        tag = {"double": "f64", "float": "f32"}[frame.scalar]
        name = f"@llvm.masked.gather.v{lanes}{tag}.v{lanes}p0"
        site.declare(f"declare {typed} {name}(<{lanes} x ptr>, i32, <{lanes} x i1>, {typed})")
        return site.emit(
            f"call {typed} {name}({pointers.typed}, i32 {size}, {mask.typed}, {typed} zeroinitializer)",
            frame.scalar,
            lanes,
        )
