"""`Problem`: a formula, its values and an engine. The Python API that the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import language
from tapecli.core import Array
from tapecli.errors import Place, Source, TapeError, nearest
from tapecli.graph import Node, needed, shape_text
from tapecli.language.formula import Formula
from tapecli.problem import points
from tapecli.problem.asking import OF_ARRAYS, answers, ask
from tapecli.problem.evaluations import Derivatives, Evaluation
from tapecli.problem.points import Rows, Values
from tapecli.problem.running import Runner
from tapecli.problem.settings import Settings

if TYPE_CHECKING:
    from tapecli.problem.differentiating import Derivation
    from tapecli.problem.flat import Flat
    from tapecli.problem.results import Check, Fit, Minimum, Step
    from tapecli.problem.sparse import Coordinates
    from tapecli.problem.timing import Bench
    from tapecli.problem.updating import Update


class Problem:
    """A formula that can be evaluated, differentiated, minimised and checked.

    `at` overrides start values (and constants, and bound names) by name. Arrays in, NumPy arrays out, in the run's
    precision. Every fault is a `TapeError` with its place and a hint.
    """

    def __init__(self, module: language.Module, settings: Settings) -> None:
        self._module = module
        self._settings = settings
        self._data: dict[Any, list[Array]] = {}
        self._notes: list[TapeError] = []
        self._others: dict[Any, Problem] = {}
        self._given: dict[str, Array] = {}
        self.formula = self._build({})
        self._reached: dict[int, frozenset[int]] = {}
        self.runner = Runner(self.formula, settings.engine, settings.dtype, settings.how)

    # ---- what the file says ----

    @property
    def source(self) -> Source:
        return self.formula.source

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def dtype(self) -> str:
        return self._settings.dtype

    @property
    def seed(self) -> int:
        """The seed of what is drawn at random."""
        return self._settings.seed

    @property
    def kink(self) -> str:
        """The derivative of max and min at a tie: half, or tf."""
        return self._settings.kink

    @property
    def traces(self) -> int:
        """How often functions of this problem were traced so far."""
        return self.runner.traces + sum(other.traces for other in self._others.values())

    @property
    def warnings(self) -> tuple[TapeError, ...]:
        return (*self._notes, *self.formula.warnings)

    def _kind(self, kind: str) -> dict[str, Array]:
        return {
            entry.name: entry.value
            for entry in self.formula.inputs.values()
            if entry.kind == kind and entry.value is not None
        }

    @property
    def start(self) -> dict[str, Array]:
        """The variables' start values, in the order of the file."""
        return self._kind("var")

    variables = start

    @property
    def constants(self) -> dict[str, Array]:
        """The constants' values."""
        return self._kind("const")

    @property
    def data(self) -> dict[str, Array]:
        """The columns that were read."""
        return self._kind("data")

    @property
    def bounds(self) -> dict[str, tuple[Array | None, Array | None]]:
        """Lower and upper bounds of the variables that have any."""
        entries = self.formula.inputs.values()
        return {e.name: (e.lower, e.upper) for e in entries if e.lower is not None or e.upper is not None}

    @property
    def points(self) -> dict[str, dict[str, Array]]:
        """The named points."""
        return self.formula.points

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs; unnamed ones are _1, _2 …"""
        return [output.name for output in self.formula.outputs]

    @property
    def objective(self) -> str | None:
        """The name of the output that is minimised or maximised."""
        return None if self.formula.goal is None else self.formula.goal.output.name

    # ---- points ----

    def place(self, words: Sequence[str]) -> dict[str, Array]:
        """The values that `NAME=EXPR` and point names give, later ones over earlier ones."""
        return self._placed(points.from_words(self.formula, words))[1]

    def rows(self, path: str) -> Rows:
        """A point per row of a CSV file, whose columns are names."""
        return points.from_rows(self.formula, path)

    # ---- building ----

    def _build(self, given: Mapping[str, Array]) -> Formula:
        def schedule(name: str, args: list[Any], keys: dict[str, Any]) -> Any:
            from tapecli.optimize import schedules

            return schedules.make(name, args, keys) if name in schedules.SCHEDULES else None

        tie = 1.0 if self._settings.kink == "tf" else 0.5
        return language.build(
            self._module,
            language.Context(
                given, self._settings.free, self._load, schedule, self._settings.seed, tie, self._settings.budget
            ),
        )

    def _load(self, path: str, columns: tuple[Any, ...], place: Place) -> list[Array]:
        from tapecli import data

        key = (path, tuple((column.name, column.selector) for column in columns))
        if key not in self._data:
            try:
                s = self._settings
                found = data.read(path, s.folder, s.data_root, list(key[1]), missing=s.missing)
            except TapeError as error:
                error.place = place
                raise
            self._data[key] = found.arrays
            if found.dropped:
                what = f"{found.dropped} row{'s' * (found.dropped != 1)} of `{path}` with an empty cell left out"
                self._notes.append(TapeError("data", what, place=place))
        return self._data[key]

    def row_of(self, name: str, index: int) -> str | None:
        """What a row of a column of data is called: `row 17 of runs.csv (line 19)`; `index` counts from 0."""
        from tapecli import data
        from tapecli.syntax.code import Data

        s = self._settings
        for statement in self._module.statements:
            if isinstance(statement, Data) and any(column.name == name for column in statement.columns):
                selectors = [(column.name, column.selector) for column in statement.columns]
                line = data.line_of(statement.path, s.folder, s.data_root, selectors, s.missing, index)
                return f"row {index + 1} of {statement.path}" + ("" if line is None else f" (line {line})")
        return None

    def _with(self, at: Mapping[str, Array]) -> Problem:
        """This problem, or the one that is built anew where `at` changes what shapes rest on."""
        formula = self.formula
        given = {name: value for name, value in at.items() if name in formula.fixed or name not in formula.inputs}
        if not given:
            return self
        given = {**self._given, **given}
        key = _key(given)
        if key == _key(self._given):
            return self
        if key not in self._others:
            other = Problem.__new__(Problem)
            other.__dict__.update(self.__dict__)
            other.formula, other._given, other._others = self._build(given), given, {}
            other._reached = {}
            other.runner = Runner(other.formula, self.runner.engine, self.dtype, self.runner.how)
            self._others[key] = other
        return self._others[key]

    def _placed(self, at: Values | None) -> tuple[Problem, dict[str, Array]]:
        """The problem at a point, and the point as arrays. What shapes rest on comes first, for the other shapes."""
        if not at:
            return self, {}
        first = {name: value for name, value in (at or {}).items() if name in self.formula.fixed}
        problem = self._with(points.checked(self.formula, first))
        point = points.checked(problem.formula, at)
        return problem._with(point), point

    # ---- evaluation ----

    def _output(self, of: str | None) -> tuple[str, Node]:
        """The output called `of`, or the objective, or the last output."""
        formula = self.formula
        if of is None:
            if formula.goal is not None:
                return formula.goal.output.name, formula.goal.output.node
            if not formula.outputs:
                raise TapeError(
                    "syntax", f"`{self.name}` has no output", hint="end it with an expression, or with minimize …"
                )
            return formula.outputs[-1].name, formula.outputs[-1].node
        for output in formula.outputs:
            if output.name == of:
                return of, output.node
        if of in formula.names:
            return of, formula.names[of]
        close = nearest(of, [*self.outputs, *formula.names])
        raise TapeError(
            "name",
            f"there is no output `{of}`",
            hint=f"did you mean `{close}`?" if close else f"there is {', '.join(self.outputs)}",
        )

    def _wrt(self, wrt: str | Sequence[str] | None) -> list[str]:
        if wrt is None:
            names = [entry.name for entry in self.formula.inputs.values() if entry.kind == "var"]
            if not names:
                raise TapeError(
                    "usage", f"`{self.name}` has no variables", hint="declare one, var x = 1, or say --wrt NAME"
                )
            return names
        asked = [name.strip() for name in wrt.split(",")] if isinstance(wrt, str) else list(wrt)
        for name in asked:
            if name not in self.formula.names:
                close = nearest(name, self.formula.names)
                raise TapeError(
                    "name",
                    f"nothing in the formula is called `{name}`",
                    hint=f"did you mean `{close}`?"
                    if close
                    else f"there is {', '.join(list(self.formula.names)[:10])}",
                )
        return list(dict.fromkeys(asked))

    def _shown(self, at: Mapping[str, Array]) -> dict[str, Array]:
        """The point as results show it: the variables, and whatever else was given."""
        dtype = self.dtype
        values = {name: at.get(name, value) for name, value in self.start.items()}
        with np.errstate(all="ignore"):
            return {name: np.asarray(value, dtype=dtype) for name, value in {**values, **at}.items()}

    def evaluate(self, *, at: Values | None = None, of: str | None = None) -> Evaluation:
        """The values of all outputs, or of one."""
        problem, point = self._placed(at)
        found: Evaluation = ask(problem, "value", None, of).at(point)
        return found

    def _scalar(self, of: str | None, instead: str) -> tuple[str, Node]:
        name, node = self._output(of)
        if node.shape:
            raise TapeError(
                "shape",
                f"`{name}` is {shape_text(node.shape)}, and this takes derivatives of a number",
                place=node.place,
                hint=instead,
            )
        return name, node

    def _connected(self, output: Node, names: Sequence[str]) -> dict[str, bool]:
        if output.index not in self._reached:
            self._reached[output.index] = frozenset(node.index for node in needed([output]))
        found = self._reached[output.index]
        return {name: self.formula.names[name].index in found for name in names}

    def derivatives(
        self, *, order: int = 1, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> Derivatives:
        """Value and gradient (order 1), and the Hessian (order 2), of a scalar output."""
        problem, point = self._placed(at)
        found: Derivatives = ask(problem, "gradient" if order == 1 else "hessian", wrt, of).at(point)
        return found

    def jacobian(
        self, *, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> Derivatives:
        """The derivative of every entry of an output."""
        problem, point = self._placed(at)
        found: Derivatives = ask(problem, "jacobian", wrt, of).at(point)
        return found

    def product(
        self,
        direction: Values,
        *,
        at: Values | None = None,
        wrt: str | Sequence[str] | None = None,
        of: str | None = None,
    ) -> Derivatives:
        """The Hessian times a direction; names that the direction leaves out count as zero."""
        problem, point = self._placed(at)
        along = points.checked(problem.formula, direction)
        names = problem._wrt(list(along) if wrt is None else wrt)
        with np.errstate(all="ignore"):
            extra = [
                np.asarray(along.get(x, np.zeros(problem.formula.names[x].shape)), dtype=self.dtype) for x in names
            ]
        found: Derivatives = ask(problem, "hvp", names, of).at(point, extra)
        return found

    def each(
        self,
        rows: Sequence[Values],
        kind: str = "gradient",
        *,
        wrt: str | Sequence[str] | None = None,
        of: str | None = None,
    ) -> Iterator[Any]:
        """The results at many points, one after another: an `Evaluation` for the kind `value`, `Derivatives` for
        `gradient`, `hessian` and `jacobian`. `rows` are mappings like `at`, or what `Problem.rows` reads from a file.
        On engines that trace, all points are one loop, in compiled code where that pays."""
        for found in answers(self, kind, rows, wrt, of):
            if isinstance(found, TapeError):
                raise found
            yield found

    def sparse_hessian(
        self, *, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> Coordinates:
        """The Hessian of a scalar output in coordinates, from as few products as its sparsity allows."""
        from tapecli.problem.sparse import sparse_hessian

        return sparse_hessian(self, at=at, wrt=wrt, of=of)

    def sparse_jacobian(
        self, *, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> Coordinates:
        """The Jacobian of an output in coordinates, from as few products as its sparsity allows."""
        from tapecli.problem.sparse import sparse_jacobian

        return sparse_jacobian(self, at=at, wrt=wrt, of=of)

    # ---- short forms ----

    def value(self, at: Values | None = None, of: str | None = None) -> Array:
        """The value of one output (the objective, or the last)."""
        name, _ = self._output(of)
        return self.evaluate(at=at, of=name).values[name]

    def value_and_grad(
        self, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The value and the gradient by name."""
        problem, point = self._placed(at)
        _, node = problem._scalar(of, OF_ARRAYS)
        names = problem._wrt(wrt)
        (value, *found), _ = problem.runner.run("gradient", [node], names, point)
        return value, dict(zip(names, found, strict=True))

    def grad(
        self, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> dict[str, Array]:
        """The gradient by name."""
        return self.value_and_grad(at, wrt, of)[1]

    def hess(
        self, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> dict[str, dict[str, Array]]:
        """The Hessian by row name and column name."""
        return self.derivatives(order=2, at=at, wrt=wrt, of=of).hessian or {}

    def jac(
        self, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
    ) -> dict[str, Array]:
        """The Jacobian by name."""
        return self.jacobian(at=at, wrt=wrt, of=of).jacobian or {}

    def hvp(self, direction: Values, at: Values | None = None, of: str | None = None) -> dict[str, Array]:
        """The Hessian times a direction, by name."""
        return self.product(direction, at=at, of=of).product or {}

    def compile(self, engine: str = "native", dtype: str | None = None) -> Problem:
        """The same problem on another engine: its functions are traced once each; `traces` counts."""
        s = self._settings
        settings = Settings(
            dtype or s.dtype,
            engine,
            s.folder,
            s.data_root,
            s.seed,
            s.kink,
            s.missing,
            s.free,
            s.how.threads,
            s.how.cache,
        )
        settings.budget = s.budget
        return Problem(self._module, settings)

    def flat(self, *, at: Values | None = None, of: str | None = None) -> Flat:
        """A scalar output as `fun(vector) -> (value, gradient vector)`, for SciPy and others. `at` overrides start
        values and constants."""

        from tapecli.problem.flat import Flat

        problem, point = self._placed(at)
        return Flat(problem, point, of)

    # ---- larger jobs, each in a module of its own ----

    def minimize(
        self,
        *,
        method: str | None = None,
        at: Values | None = None,
        steps: int | None = None,
        tol: float | None = None,
        options: Mapping[str, Any] | None = None,
        callback: Callable[[Step], None] | None = None,
        timeout: float | None = None,
        sensitivity: str | Sequence[str] = (),
        **more: Any,
    ) -> Minimum:
        """Minimises (or maximises) the objective. Options by Keras' names, as a mapping or as keywords. `sensitivity`
        names constants: the result has the derivative of the optimum to each. Further keywords are those of
        `tapecli.problem.runs.RunOptions`: batches, starts, checkpoints."""
        from tapecli.problem.minimizing import minimize
        from tapecli.problem.runs import RunOptions, checked

        how = checked(RunOptions(**{name: more.pop(name) for name in RunOptions._fields if name in more}))
        problem, point = self._placed(at)
        asked = [name.strip() for name in sensitivity.split(",")] if isinstance(sensitivity, str) else list(sensitivity)
        settings = {**(options or {}), **more}
        return minimize(problem, point, method, steps, tol, settings, callback, timeout, asked, how)

    def fit(
        self,
        *,
        method: str | None = None,
        at: Values | None = None,
        steps: int | None = None,
        tol: float | None = None,
        loss: str = "linear",
        loss_scale: float = 1.0,
        confidence: float = 0.95,
        profile: bool = False,
        sigma_known: bool = False,
        callback: Callable[[Step], None] | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Fit:
        """Fits the file's `fit` statement: the parameters with standard errors and intervals, and how good the fit is.

        `loss` is linear, soft_l1, huber, cauchy or arctan; `profile` takes the intervals from the profile of the
        sum of squares; `sigma_known` takes the sigmas as they are, where otherwise only their ratios count.
        Further keywords are those of `tapecli.problem.runs.RunOptions`, batches excepted."""
        from tapecli.problem.fitting import Asked, fit
        from tapecli.problem.runs import RunOptions, checked

        how = checked(RunOptions(**more))
        problem, point = self._placed(at)
        asked = Asked(loss, loss_scale, confidence, profile, sigma_known)
        return fit(problem, point, asked, method, steps, tol, callback, timeout, how)

    def check(self, *, at: Values | None = None) -> Check:
        """Runs the `expect` lines and holds every derivative against a numerical one."""
        from tapecli.problem.checking import check

        return check(*self._placed(at))

    def diff(
        self,
        wrt: str | Sequence[str] | None = None,
        of: str | None = None,
        *,
        at: Values | None = None,
        order: int = 1,
        form: str = "tape",
    ) -> Derivation:
        """The derivatives of a number as formulas: text of a formula file (whose start values are those of `at`),
        `latex` or `python`. Where no formula says them, as through a recurrence, TapeError("unsupported")."""
        from tapecli.problem.differentiating import differentiate

        problem, point = self._placed(at)
        return differentiate(problem, point, wrt, of, order, form)

    def bench(self, *, at: Values | None = None, of: str | None = None) -> Bench:
        """How long each engine takes for the value and the gradient of an output. A problem that asks for one engine
        has it timed beside the tape."""
        from tapecli.problem.timing import bench

        return bench(self, at, of)

    def updated(self, check: Check) -> Update:
        """The file's text with the expectations that failed rewritten to what `check` got, and what was changed."""
        from tapecli.problem.updating import updated

        return updated(self, check)

    def blame(self, result: Evaluation | Derivatives) -> TapeError:
        """Which operation first made a result not finite, and where it stands."""
        from tapecli.problem.blaming import blame

        return blame(self._placed(result.at)[0], result)

    def traced(self, *, of: str | None = None, order: int = 1) -> Any:
        """What tracing this problem gives: see `tapecli.problem.showing.Trace`."""
        from tapecli.problem.showing import Trace

        return Trace(self, of, order)


def _key(given: Mapping[str, Array]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.tobytes()) for name, value in sorted(given.items()))
