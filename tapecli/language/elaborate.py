"""Statements to a `Formula`: names are bound, shapes found, and everything wrong is reported with its place.

A statement that is wrong does not stop the next one; what rests on it is not reported again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import MOST_ERRORS, Place, TapeError, nearest
from tapecli.graph import INPUT, LITERAL, Graph, Node, replay, shape_text
from tapecli.language import goals
from tapecli.language.checks import free_names
from tapecli.language.draws import drawn
from tapecli.language.formula import Constraint, Expected, Formula, Goal, Input, Output
from tapecli.language.functions import is_function, unknown_function
from tapecli.language.instructions import HANDLERS, constant, parts, unknown_name
from tapecli.language.machine import Machine
from tapecli.language.recovery import first_of, note, pieces
from tapecli.language.values import Broken, FollowUp, Frame, Function, Scope
from tapecli.limits import Budget
from tapecli.records import NamedTuple
from tapecli.syntax import code as syntax


class Context(NamedTuple):
    """What the world outside the file gives to it.

    given     values that override those of inputs and bindings
    free      names without a statement, which become variables
    load      reads the columns of a data file: `(path, columns, place) -> arrays`
    schedule  makes a learning-rate schedule: `(name, positional, keyed) -> schedule`, or None where there is none
    """

    given: Mapping[str, Array]
    free: Mapping[str, Array]
    load: Callable[[str, tuple[Any, ...], Place], list[Array]]
    schedule: Callable[[str, list[Any], dict[str, Any]], Any]
    seed: int
    tie: float
    budget: Budget | None = None


def binds(statement: syntax.Statement) -> tuple[str, ...]:
    """The names of values that a statement binds."""
    if isinstance(statement, syntax.Declare):
        return (statement.name,)
    if isinstance(statement, syntax.Bind):
        return statement.names
    if isinstance(statement, syntax.Data):
        return tuple(column.name for column in statement.columns)
    return ()


class Elaborator:
    """Runs the statements of one file."""

    def __init__(self, module: syntax.Module, context: Context) -> None:
        self.module = module
        self.source = module.source
        self.context = context
        self.given = context.given
        self.machine = Machine(Graph(context.budget), module.source, HANDLERS)
        self.machine.options["tie"] = context.tie
        self.scope = Scope()
        self.inputs: dict[str, Input] = {}
        self.places: dict[str, Place] = {}
        self.function_places: dict[str, Place] = {}
        self.outputs: list[Output] = []
        self.goal: Goal | None = None
        self.expected: list[Expected] = []
        self.constraints: list[Constraint] = []
        self.points: dict[str, dict[str, Array]] = {}
        self.warnings: list[TapeError] = []
        self.errors = self.machine.errors
        self.errors.extend(module.faults)
        self.machine.lost = module.lost
        self._random: Any = None
        self._named: set[int] = set()
        bound = {name for statement in module.statements for name in binds(statement)}
        for name, value in context.free.items():
            if name in bound:
                continue
            self.input(name, "var", value, None, None, Place(self.source, 0, 0))

    def run(self) -> Formula:
        """The formula; raises the first error, with the others in its `more`."""
        for statement in self.module.statements:
            self.attempt(statement)
            if len(self.errors) >= MOST_ERRORS or any(error.code == "limit" for error in self.errors):
                break
        if self.errors:
            raise first_of(self.errors)
        names = {name: value for name, value in self.scope.values.items() if isinstance(value, Node)}
        if not self.outputs and names:
            self._last_binding(names)
        return Formula(
            self.source,
            self.machine.graph,
            self.inputs,
            names,
            tuple(self.outputs),
            self.goal,
            tuple(self.expected),
            tuple(self.constraints),
            self.points,
            frozenset(self.machine.used),
            tuple(self.warnings),
        )

    def _last_binding(self, names: dict[str, Node]) -> None:
        """A file that only binds names has the last of them for its output."""
        bound = [name for name in names if name not in self.inputs]
        if bound:
            self.outputs.append(Output(bound[-1], names[bound[-1]], self.places[bound[-1]]))

    def attempt(self, statement: syntax.Statement) -> None:
        before = len(self.errors)
        whole = False
        try:
            STATEMENTS[type(statement).__name__](self, statement)
            whole = len(self.errors) == before
        except FollowUp:
            pass
        except TapeError as error:
            if error.place is None:
                error.place = self.place(statement.start, statement.end)
            if error.code == "limit":
                self.errors.append(error)
            else:
                note(self.machine, error)
        if not whole:
            self._further(statement)
            self._break(statement)

    def _further(self, statement: syntax.Statement) -> None:
        """The unknown names in those parts of a wrong statement that were not reached."""
        if isinstance(statement, syntax.Define) or (isinstance(statement, syntax.Expect) and self.given):
            return
        own = getattr(statement, "code", None)  # elsewhere, schedules and draws may be called as well
        for code in pieces(statement):
            for name, start, end, called in free_names(code, ()):
                if called and code is not own:
                    continue
                try:
                    self._known(name, self.place(start, end), called)
                except FollowUp:
                    pass
                except TapeError as error:
                    note(self.machine, error)

    def _known(self, name: str, place: Place, called: bool) -> None:
        """Raises where nothing above binds a name that is used."""
        m = self.machine
        m.graph.here = place
        if called:
            if not is_function(m, self.scope, name):
                if name in m.broken or name in m.lost:
                    raise FollowUp
                raise unknown_function(m, self.scope, name)
        elif self.scope.value(name) is None and constant(m, name) is None:
            raise unknown_name(m, Frame([], self.scope, self.source), name)

    def _break(self, statement: syntax.Statement) -> None:
        """Marks the names that a wrong statement was to bind: their uses are not reported again."""
        if isinstance(statement, syntax.Define):
            self.machine.broken.add(statement.name)
        for name in binds(statement):
            self.scope.values.setdefault(name, Broken())

    # ---- helpers ----

    def place(self, start: int, end: int) -> Place:
        return Place(self.source, start, end)

    def value(self, code: syntax.Code) -> Any:
        return self.machine.run(code, self.scope)

    def node(self, code: syntax.Code, what: str) -> Any:
        return self.machine.node(self.value(code), what)

    def number(self, code: syntax.Code, what: str) -> Array:
        """The number of an expression now, with every input at its start value."""
        return self.evaluate(self.node(code, what))

    def evaluate(self, node: Node) -> Array:
        literal = self.machine.constant(node)
        if literal is not None:
            return literal
        leaves = {leaf.node: leaf.value for leaf in self.inputs.values() if leaf.value is not None}
        self.machine.afford(node)
        with np.errstate(all="ignore"):
            return np.asarray(replay([node], leaves, lambda value: value)[0], dtype=np.float64)

    def bind(self, name: str, value: Any, place: Place) -> None:
        self._free(name, place)
        self.scope.values[name] = self._own(value) if isinstance(value, Node) else value
        self.places[name] = place

    def _free(self, name: str, place: Place) -> None:
        """Refuses a name that is bound already."""
        if name in self.scope.values and not isinstance(self.scope.values[name], Broken):
            first = self.places.get(name)
            where = f", first in line {first.line}" if first is not None and first.end else ""
            raise TapeError(
                "duplicate",
                f"`{name}` is bound twice{where}",
                place=place,
                hint="a name is bound once; choose another name",
            )

    def _own(self, node: Node) -> Node:
        """A node for one name alone: equal expressions are one node, but a derivative is taken to one of the names."""
        if node.index in self._named or node.op is LITERAL:
            leaf = node.op in (INPUT, LITERAL)
            node = self.machine.distinct(node) if leaf else self.machine.graph.copy(node)
        self._named.add(node.index)
        return node

    def input(
        self, name: str, kind: str, value: Array | None, lower: Array | None, upper: Array | None, place: Place
    ) -> None:
        """A new leaf of the graph."""
        shape = () if value is None else value.shape
        given = self.given.get(name)
        if given is not None:
            if value is not None and given.shape != value.shape:
                raise TapeError(
                    "shape",
                    f"`{name}` is {shape_text(value.shape)}, and the value given for it is {shape_text(given.shape)}",
                    place=place,
                )
            value, shape = given, given.shape
        self.machine.graph.here = place
        node = self.machine.graph.input(name, shape)
        self._named.add(node.index)
        self._free(name, place)
        self.scope.values[name], self.places[name] = node, place
        self.inputs[name] = Input(name, kind, node, value, lower, upper, place)
        if kind != "var" and value is not None:
            self.machine.known[node] = value

    # ---- statements ----

    def declare(self, s: syntax.Declare) -> None:
        place = self.place(s.name_start, s.name_end)
        sizes = tuple(self.machine.whole(self.value(code), "a size") for code in s.sizes)
        if any(n < 0 for n in sizes):
            raise TapeError("value", f"a size of `{s.name}` is negative", place=place)
        self.machine.room(sizes, f"`{s.name}`", copies=3)
        value, node = self._start(s, sizes, place)
        if s.kind == "const" and node is not None and s.name not in self.given and not s.sizes and self._derived(node):
            self.bind(s.name, node, place)
            return
        lower = self._bound(s.lower, s.name, value, place)
        upper = self._bound(s.upper, s.name, value, place)
        if lower is not None and upper is not None and np.any(lower > upper):
            raise TapeError("value", f"the lower bound of `{s.name}` is above the upper one", place=place)
        self.input(s.name, s.kind, value, lower, upper, place)
        if value is not None and (
            (lower is not None and np.any(value < lower)) or (upper is not None and np.any(value > upper))
        ):
            self.warnings.append(
                TapeError(
                    "value",
                    f"the start of `{s.name}` lies outside its bounds; minimising begins at the nearest bound",
                    place=place,
                )
            )

    def _start(self, s: syntax.Declare, sizes: tuple[int, ...], place: Place) -> tuple[Array | None, Node | None]:
        if s.value is None:
            if s.kind == "const":
                raise TapeError(
                    "start", f"`{s.name}` is a constant without a value", place=place, hint=f"const {s.name} = 1"
                )
            return (np.broadcast_to(np.nan, sizes).copy() if sizes else None), None
        self.machine.options["draw"] = lambda m, name, args, keys: self._draw(name, args, keys, sizes)
        try:
            node = self.node(s.value, "a start value")
        finally:
            self.machine.options["draw"] = None
        value = self.evaluate(node)
        if sizes and value.shape != sizes:
            if value.ndim:
                raise TapeError(
                    "shape",
                    f"`{s.name}` is {shape_text(sizes)}, and its start value is {shape_text(value.shape)}",
                    place=place,
                )
            value = np.full(sizes, value)
        return np.array(value), node

    def _derived(self, node: Node) -> bool:
        """Whether a constant is made of others: it then follows them, and is no leaf."""
        return not self.machine.is_constant(node)

    def _draw(self, name: str, args: list[Any], keys: dict[str, Any], sizes: tuple[int, ...]) -> Node | None:
        """`normal(mean, sd)` and `uniform(low, high)` as a start value, drawn from the run's seed."""
        if name not in ("normal", "uniform"):
            return None
        if len(args) != 2 or keys:
            raise self.machine.error(
                "type", f"`{name}` takes two numbers", hint="normal(mean, sd) or uniform(low, high)"
            )
        first, second = (self.evaluate(self.machine.node(arg, f"`{name}`")) for arg in args)
        if self._random is None:
            self._random = np.random.default_rng(self.context.seed)
        return self.machine.graph.literal(drawn(self.machine, self._random, name, first, second, sizes))

    def _bound(self, code: syntax.Code | None, name: str, value: Array | None, place: Place) -> Array | None:
        if code is None:
            return None
        bound = self.number(code, "a bound")
        try:
            return np.array(np.broadcast_to(bound, () if value is None else value.shape))
        except ValueError:
            shape = shape_text(() if value is None else value.shape)
            raise TapeError(
                "shape", f"a bound of `{name}` is {shape_text(bound.shape)}, and `{name}` is {shape}", place=place
            ) from None

    def data(self, s: syntax.Data) -> None:
        place = self.place(s.path_start, s.path_end)
        arrays = self.context.load(s.path, tuple(s.columns), place)
        for column, array in zip(s.columns, arrays, strict=True):
            self.input(column.name, "data", array, None, None, self.place(column.start, column.end))

    def binding(self, s: syntax.Bind) -> None:
        value = self.value(s.code)
        values = parts(self.machine, value, len(s.names)) if s.unpack else [value]
        for name, part, (start, end) in zip(s.names, values, s.places, strict=True):
            if isinstance(part, Node) and name in self.given:
                self.machine.used.add(name)
                self.input(
                    name, "const", np.broadcast_to(self.given[name], part.shape), None, None, self.place(start, end)
                )
            else:
                self.bind(name, part, self.place(start, end))

    def define(self, s: syntax.Define) -> None:
        place = self.place(s.name_start, s.name_end)
        if s.name in self.scope.functions:
            raise TapeError(
                "duplicate", f"the function `{s.name}` is defined twice", place=place, hint="choose another name"
            )
        known = len(self.errors)
        for name, start, end, called in free_names(s.code, s.params):
            try:
                self._check_free(s.name, name, self.place(start, end), called)
            except TapeError as error:
                note(self.machine, error)
            except FollowUp:
                self.machine.broken.add(s.name)
        if len(self.errors) > known or s.name in self.machine.broken:
            raise FollowUp
        scope = self.scope
        scope.functions[s.name] = Function(s.name, s.params, s.code, scope, self.source, place)

    def _check_free(self, function: str, name: str, place: Place, called: bool) -> None:
        """Refuses a function's use of a name that nothing above binds, before it is ever called."""
        if called and name == function:
            raise TapeError(
                "name",
                f"`{function}` calls itself",
                place=place,
                hint="functions do not recurse; fold and scan repeat",
            )
        self._known(name, place, called)

    def output(self, s: syntax.Output) -> None:
        self.outputs.append(self.named_output(self.node(s.code, "an output"), s.code, s.start, s.end))

    def named_output(self, node: Node, code: syntax.Code, start: int, end: int) -> Output:
        named = code[0][1] if len(code) == 1 and code[0][0] == "name" else f"_{len(self.outputs) + 1}"
        return Output(named, node, self.place(start, end))

    def constraint(self, s: syntax.Constraint) -> None:
        place = self.place(s.start, s.end)
        self.constraints.append(
            Constraint(self.node(s.left, "a constraint"), s.relation, self.node(s.right, "a constraint"), place)
        )

    def point(self, s: syntax.Point) -> None:
        if s.name in self.points:
            raise TapeError(
                "duplicate", f"the point `{s.name}` is given twice", place=self.place(s.name_start, s.name_end)
            )
        self.points[s.name] = self.assignments(s.assignments)

    def assignments(self, settings: tuple[syntax.Setting, ...]) -> dict[str, Array]:
        """`x = 1, y = [1, 2]` as numbers of the right shapes, for names that are bound."""
        values = {}
        reshaped = any(setting.name in self.machine.used for setting in settings)
        for setting in settings:
            place = self.place(setting.start, setting.end)
            values[setting.name] = self.number(setting.code, "a value")
            self._assignable(setting.name, values[setting.name], reshaped, place)
        return values

    def _assignable(self, name: str, value: Array, reshaped: bool, place: Place) -> None:
        """Refuses a value for an unknown name, or of a shape that it cannot have; where shapes themselves are set
        anew (`reshaped`), theirs is seen to when the value is used."""
        known = self.scope.values.get(name)
        if isinstance(known, Broken):
            raise FollowUp
        if not isinstance(known, Node):
            close = nearest(name, self.scope.values)
            raise TapeError(
                "name", f"nothing is called `{name}`", place=place, hint=f"did you mean `{close}`?" if close else None
            )
        if value.shape != known.shape and value.ndim and not reshaped:
            raise TapeError(
                "shape",
                f"`{name}` is {shape_text(known.shape)}, and the value given for it is {shape_text(value.shape)}",
                place=place,
            )

    def expect(self, s: syntax.Expect) -> None:
        place = self.place(s.start, s.end)
        tolerance = None if s.within is None else self.number(s.within, "`within`")
        if tolerance is not None and tolerance.shape:
            raise TapeError("shape", f"a tolerance is a number, and this is {shape_text(tolerance.shape)}", place=place)
        within = None if tolerance is None else float(tolerance)
        at: dict[str, Array] = {}
        if s.at_point is not None:
            if s.at_point not in self.points:
                close = nearest(s.at_point, self.points)
                raise TapeError(
                    "name",
                    f"there is no point `{s.at_point}` above",
                    place=place,
                    hint=f"did you mean `{close}`?" if close else f"point {s.at_point}: x = 1",
                )
            at.update(self.points[s.at_point])
        at.update(self.assignments(s.assignments))
        left: Node | None = None
        right: Node | None = None
        fault: TapeError | None = None
        before = len(self.errors)
        try:
            left, right = self._sides(s, place)
        except (TapeError, FollowUp) as error:
            if not self.given and not self.machine.used & set(at):
                raise
            if isinstance(error, FollowUp) and len(self.errors) == before:
                raise
            fault = error if isinstance(error, TapeError) else first_of(self.errors[before:])
            del self.errors[before:]
        relation = s.relation if right is not None else None
        self.expected.append(Expected(s.text, relation, left, right, within, at, fault, place))

    def _sides(self, s: syntax.Expect, place: Place) -> tuple[Node, Node | None]:
        """What a check compares, or the one condition that it is."""
        if s.relation is None or s.left is None or s.right is None:
            return self.node(s.code, "a check"), None
        left, right = self.node(s.left, "a check"), self.node(s.right, "a check")
        if left.shape and right.shape and left.shape != right.shape:
            sizes = f"{shape_text(left.shape)} with {shape_text(right.shape)}"
            raise TapeError("shape", f"a check compares {sizes}", place=place)
        return left, right


STATEMENTS: dict[str, Callable[[Elaborator, Any], None]] = {
    "Declare": Elaborator.declare,
    "Data": Elaborator.data,
    "Bind": Elaborator.binding,
    "Define": Elaborator.define,
    "Output": Elaborator.output,
    "Objective": goals.objective,
    "Fit": goals.fit,
    "Constraint": Elaborator.constraint,
    "Point": Elaborator.point,
    "Expect": Elaborator.expect,
}
