"""The house rules that imports and calls can break: rooms import downwards only, and each library has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tapecli

ROOT = Path(tapecli.__file__).parent
#: room -> floor; a room imports from its own floor and from those below
FLOORS = {
    "errors": 0,
    "collector": 0,
    "explanations": 0,
    "limits": 0,
    "records": 0,
    "core": 1,
    "ops": 2,
    "graph": 3,
    "tape": 3,
    "derive": 4,
    "rewrite": 4,
    "recur": 4,
    "sparsity": 4,
    "eager": 4,
    "write": 4,
    "syntax": 3,
    "language": 4,
    "engines": 5,
    "tracing": 6,
    "data": 6,
    "optimize": 7,
    "problem": 8,
    "catalogue": 8,
    "optimizers": 8,
    "report": 9,
    "cli": 10,
    "__main__": 10,
}
#: third-party library -> the modules that may import it
DOORS = {
    "numpy": ("",),
    "lark": ("syntax.grammar",),
    "typer": ("cli",),
    "click": ("cli",),
    "rich": ("report",),
    "pyarrow": ("data",),
    "llvmlite": ("engines.native.build",),
    "matplotlib": ("report.pictures",),
    "scipy": ("ops.kernels.scientific",),
}
#: where modules are imported by a name that is put together at run time: from closed tables of this package
LATE_IMPORTS = {"", "engines.native.library", "ops.late"}
#: where ops are named by strings
NAMES_OPS = ("core", "ops", "rewrite", "write", "language", "optimize.schedules")

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(ROOT.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[0]


def inside(module: str, places: tuple[str, ...]) -> bool:
    return any(place in ("", module) or module.startswith(place + ".") for place in places)


def guarded(tree: ast.Module) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`, and is never run."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.update(inner for statement in node.body for inner in ast.walk(statement))
    return found


def imports(tree: ast.Module, typing: bool = True) -> Iterator[tuple[str, int]]:
    """The modules that a module imports, anywhere in it, and the line."""
    skipped = set() if typing else guarded(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it leads"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full.removeprefix("tapecli.") in MODULES else node.module), node.lineno


def own(module: str) -> str | None:
    """The name inside the package, or None for what is imported from outside."""
    return "" if module == "tapecli" else module.removeprefix("tapecli.") if module.startswith("tapecli.") else None


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_rooms_import_from_below(module: str) -> None:
    assert room(module) in FLOORS, f"say on which floor the room `{room(module)}` is"
    for imported, line in imports(TREES[module]):
        name = own(imported)
        if name is None:
            continue
        assert name or room(module) in ("cli", "report"), f"{module}, line {line}: imports the whole package"
        if name:
            assert FLOORS[room(name)] <= FLOORS[room(module)], f"{module}, line {line}: imports {name} from above"


def test_rooms_of_one_floor_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        for imported, _ in imports(tree, typing=False):
            name = own(imported)
            if name and module and room(name) != room(module):
                edges.setdefault(room(module), set()).add(room(name))
    while edges:
        ends = {name for targets in edges.values() for name in targets} - set(edges)
        left = {name: targets - ends for name, targets in edges.items()}
        free = {name for name, targets in left.items() if not targets}
        assert free, f"a circle of imports in {sorted(edges)}"
        edges = {name: targets - free for name, targets in left.items() if name not in free}


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_its_door(module: str) -> None:
    for imported, line in imports(TREES[module]):
        library = imported.split(".")[0]
        if library == "tapecli" or library in sys.stdlib_module_names:
            continue
        assert library in DOORS, f"{module}, line {line}: {library} is used nowhere in this package"
        assert inside(module, DOORS[library]), f"{module}, line {line}: {library} has another door"


def test_errors_need_no_library() -> None:
    assert all(name.split(".")[0] in sys.stdlib_module_names for name, _ in imports(TREES["errors"]))


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("module", MODULES)
def test_nothing_prints_or_exits_below_its_floor(module: str) -> None:
    floor = FLOORS.get(room(module), 0)
    for name, call in calls(TREES[module]):
        if floor < FLOORS["report"]:
            assert name not in ("print", "sys.stdout.write", "sys.stderr.write"), (
                f"{module}, line {call.lineno}: prints"
            )
        if floor < FLOORS["cli"]:
            assert name not in ("exit", "quit", "sys.exit", "os._exit", "SystemExit"), f"{module}, line {call.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_text_never_becomes_code(module: str) -> None:
    never = {"eval", "exec", "compile", "__import__", "pickle.loads", "pickle.load", "marshal.loads", "runpy.run_path"}
    for imported, line in imports(TREES[module]):
        assert imported.split(".")[0] not in ("pickle", "marshal", "shelve", "runpy"), f"{module}, line {line}"
    for name, call in calls(TREES[module]):
        assert name not in never, f"{module}, line {call.lineno}: {name}"
        if name.endswith("import_module") and isinstance(call.args[0], ast.Constant):
            library = call.args[0].value.split(".")[0]
            assert inside(module, DOORS.get(library, ())), f"{module}, line {call.lineno}: {library} has another door"
        elif name.endswith("import_module"):
            assert module in LATE_IMPORTS, f"{module}, line {call.lineno}: imports by a name made at run time"
            assert ast.unparse(call.args[0]).startswith("f'tapecli."), "the name stays inside the package"
        if name in ("np.load", "numpy.load"):
            pickled = [ast.unparse(key.value) for key in call.keywords if key.arg == "allow_pickle"]
            assert pickled == ["False"], f"{module}, line {call.lineno}: allow_pickle=False"


def text_of(node: ast.AST) -> bool:
    """Whether a comparison's side is a text, or a collection of texts."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.Set, ast.List)) else [node]
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts)


@pytest.mark.parametrize("module", [name for name in MODULES if not inside(name, NAMES_OPS)])
def test_ops_are_named_in_the_table_and_by_rewrites_only(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).split(".")[-1] == "TABLE":
            assert not isinstance(node.slice, ast.Constant), f"{module}, line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            named = any(ast.unparse(side).endswith("op.name") for side in sides)
            assert not (named and any(map(text_of, sides))), f"{module}, line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", ["tape", "derive", "graph", "engines", "engines.numpy", "engines.tape"])
def test_the_tape_does_not_look_into_the_table(module: str) -> None:
    assert "TABLE" not in MODULES[module].read_text(encoding="utf-8")


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_no_library() -> None:
    libraries = "{'numpy', 'lark', 'typer', 'click', 'rich', 'scipy', 'llvmlite'}"
    assert run_python(f"import sys, tapecli; print(sorted({libraries} & set(sys.modules)))") == "[]"


def test_evaluating_a_formula_imports_numpy_only() -> None:
    libraries = "{'lark', 'typer', 'click', 'rich', 'scipy', 'llvmlite', 'hypothesis', 'pickle'}"
    work = "import sys, tapecli as tp; tp.parse('var x = 1; sin(x)^2').hess()"
    code = f"{work}; print(sorted({libraries} & set(sys.modules)))"
    assert set(ast.literal_eval(run_python(code))) <= {"pickle"}  # NumPy imports pickle itself


def test_every_public_name_is_there() -> None:
    for name in tapecli.__all__:
        assert getattr(tapecli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tapecli.nothing  # type: ignore[attr-defined]
