"""Every command and every option, declared once, as light data.

From this table follow the Typer app (`app`), which owns help, completion and usage errors, and the quick reader
(`quick`), which reads plain command lines without importing Typer. Nothing here imports anything that starts slowly.
"""

from __future__ import annotations

#: kind -> how a reader takes it: `flag` is true or false, `switch` also has a --no- form and may be left open,
#: `texts` may be given several times
KINDS = ("flag", "switch", "text", "texts", "integer", "number", "choice")


class Option:
    """One option of the command line. `commands` are the names of the commands that have it."""

    __slots__ = ("choices", "commands", "default", "flags", "help", "kind", "metavar", "name")

    def __init__(
        self,
        name: str,
        flags: str,
        kind: str,
        default: object,
        metavar: str,
        help: str,
        commands: str,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.flags = tuple(flags.split())
        self.kind = kind
        self.default = default
        self.metavar = metavar
        self.help = help
        self.commands = tuple(commands.split())
        self.choices = choices


#: command -> the line that help shows
COMMANDS: dict[str, str] = {
    "eval": "The value of every output.",
    "grad": "Value and gradient of the objective, or of the last output.",
    "hess": "Value, gradient and Hessian; with --hvp only the Hessian times a direction.",
    "jac": "The Jacobian of a vector output.",
    "minimize": "Minimise the objective.",
    "fit": "Fit a model to data by least squares, with standard errors.",
    "check": "Run the `expect` lines and compare every derivative with a numerical one.",
    "trace": "Trace and compile, and show what came out.",
    "ops": "The functions of the language, with their derivatives.",
    "explain": "What a code of an error means, with a wrong and a mended example.",
}

ALL = " ".join(COMMANDS)
FORMULA = "eval grad hess jac minimize fit check trace"
DERIVATIVE = "grad hess jac"

_HVP = "the direction for the Hessian-vector product, say x=1; repeatable"
_AT = "where: x=1.5, the name of a point, or @points.csv for every row; repeatable, later ones win"
_EVALUATIONS = "the greatest number of evaluations"
_CHECKPOINT = "keep the state of the run in this file, for --resume"
_EVERY = "how often to write the checkpoint; 0 is after every step"
_PLOT = "draw the run as a picture (.png, .svg or .pdf), or with - in the terminal"
_METHOD = "how to minimise; auto chooses by the problem, and says what it chose"
_SENSITIVITY = "the derivative of the optimum to these constants, comma-separated"
_LOSS = "what large residuals count: linear (least squares), soft_l1, huber, cauchy or arctan"
_SCALE = "the residual at which a loss begins to count less"
_SURE = "how sure the intervals are, between 0 and 1"
_KNOWN = "take the sigmas as they are, not only their ratios"
#: The names of `tapecli.optimize.losses`, which a test compares; importing it here would start slowly.
LOSSES = ("linear", "soft_l1", "huber", "cauchy", "arctan")
_FORMATS = "how problems are written: full, concise, github, junit or sarif"
_LOG = "write one JSON object per step, the start being step 0"

OPTIONS: tuple[Option, ...] = (
    Option("inline", "-e --expression", "texts", (), "FORMULA", "a formula inline; repeatable", FORMULA),
    Option("at", "--at", "texts", (), "WHERE", _AT, FORMULA),
    Option("wrt", "--wrt", "texts", (), "NAMES", "with respect to these names, comma-separated", DERIVATIVE),
    Option("of", "--of", "text", None, "NAME", "which output", "eval grad hess jac trace"),
    Option("hvp", "--hvp", "texts", (), "NAME=EXPR", _HVP, "hess"),
    Option("sparse", "--sparse", "flag", False, "", "only what can differ from zero, in coordinates", "hess jac"),
    Option(
        "show", "--show", "choice", "program", "STAGE", "what to show: tape, graph, program, ir or asm", "trace",
        ("tape", "graph", "program", "ir", "asm"),
    ),
    Option("update", "--update", "flag", False, "", "rewrite the numbers of `expect` lines that fail", "check"),
    Option("method", "--method", "text", None, "METHOD", _METHOD, "minimize fit"),
    Option("steps", "--steps", "integer", None, "N", "the greatest number of steps", "minimize fit"),
    Option("tol", "--tol", "number", None, "NUMBER", "the tolerance to reach", "minimize fit"),
    Option("max_evaluations", "--max-evaluations", "integer", None, "N", _EVALUATIONS, "minimize fit"),
    Option("starts", "--starts", "integer", 1, "N", "begin at so many starts, and list the minima", "minimize fit"),
    Option("checkpoint", "--checkpoint", "text", None, "FILE", _CHECKPOINT, "minimize fit"),
    Option("checkpoint_every", "--checkpoint-every", "number", 5.0, "SECONDS", _EVERY, "minimize fit"),
    Option("resume", "--resume", "flag", False, "", "go on from the checkpoint, if there is one", "minimize fit"),
    Option("plot", "--plot", "text", None, "FILE", _PLOT, "minimize fit"),
    Option("batch", "--batch", "integer", None, "ROWS", "take so many rows of the data at each step", "minimize"),
    Option("epochs", "--epochs", "integer", None, "N", "go through all rows so many times, in batches", "minimize"),
    Option("log", "--log", "text", None, "FILE", _LOG, "minimize fit"),
    Option("log_every", "--log-every", "integer", 1, "N", "log every N-th step only", "minimize fit"),
    Option("sensitivity", "--sensitivity", "texts", (), "NAMES", _SENSITIVITY, "minimize"),
    Option("loss", "--loss", "choice", "linear", "LOSS", _LOSS, "fit", LOSSES),
    Option("loss_scale", "--loss-scale", "number", 1.0, "NUMBER", _SCALE, "fit"),
    Option("confidence", "--confidence", "number", 0.95, "NUMBER", _SURE, "fit"),
    Option("profile", "--profile", "flag", False, "", "intervals from the profile of the sum of squares", "fit"),
    Option("sigma_known", "--sigma-known", "flag", False, "", _KNOWN, "fit"),
    Option(
        "engine", "--engine", "choice", "auto", "ENGINE", "how to compute: auto, tape, numpy or native", FORMULA,
        ("auto", "tape", "numpy", "native"),
    ),
    Option(
        "dtype", "--dtype", "choice", "float64", "DTYPE", "precision of every operation: float64 or float32", FORMULA,
        ("float64", "float32"),
    ),
    Option(
        "kink", "--kink", "choice", "half", "RULE", "derivative of max and min at a tie: half to each, or tf", FORMULA,
        ("half", "tf"),
    ),
    Option(
        "missing", "--missing", "choice", "error", "RULE",
        "data rows with an empty cell: error, or drop to leave them out", FORMULA, ("error", "drop"),
    ),
    Option("seed", "--seed", "integer", None, "N", "for random numbers: starts, batches; 0 by default", FORMULA),
    Option("data_root", "--data-root", "text", None, "FOLDER", "data files must lie below this folder", FORMULA),
    Option("timeout", "--timeout", "number", None, "SECONDS", "the longest time for one file", FORMULA),
    Option("threads", "--threads", "integer", None, "N", "threads of compiled code (default: all cores)", FORMULA),
    Option("no_cache", "--no-cache", "flag", False, "", "do not keep compiled code, nor take what was kept", FORMULA),
    Option(
        "max_memory", "--max-memory", "text", None, "SIZE", "the most memory to take, say 2G (default: most there is)",
        FORMULA,
    ),
    Option("jobs", "--jobs", "integer", 1, "N", "worker processes for several files or starts", FORMULA),
    Option("fail_fast", "--fail-fast", "flag", False, "", "stop at the first file that fails", FORMULA),
    Option("max_failures", "--max-failures", "integer", None, "N", "stop when so many files have failed", FORMULA),
    Option("exit_zero", "--exit-zero", "flag", False, "", "exit with 0 whatever came out", FORMULA),
    Option("json", "--json", "flag", False, "", "one JSON object per file, on its own line", ALL),
    Option("output", "--output", "text", None, "FILE", "write the results there", ALL),
    Option("force", "--force", "flag", False, "", "let files that exist be replaced", ALL),
    Option(
        "format", "--format", "choice", "full", "FORMAT", _FORMATS, ALL,
        ("full", "concise", "github", "junit", "sarif"),
    ),
    Option(
        "color", "--color", "choice", "auto", "WHEN", "colours: auto, always or never", ALL,
        ("auto", "always", "never"),
    ),
    Option("quiet", "-q --quiet", "flag", False, "", "no warnings, no progress", ALL),
    Option("verbose", "-v --verbose", "flag", False, "", "say more: engines, points, times", ALL),
)  # fmt: skip


def of_command(command: str) -> tuple[Option, ...]:
    """The options of a command, those of the methods of `minimize` excepted."""
    return tuple(option for option in OPTIONS if command in option.commands)


def takes_files(command: str) -> bool:
    return command != "ops"  # what `explain` takes are codes


def method_options() -> tuple[Option, ...]:
    """The options of the methods, as their tables declare them (which import NumPy)."""
    from tapecli.optimize.methods import is_first_order, names, options_of

    owners: dict[str, list[str]] = {}
    first: dict[str, tuple[object, str]] = {}
    for method in names():
        for option in options_of(method):
            owners.setdefault(option.name, []).append(method)
            first.setdefault(option.name, (option.default, option.help))
    count = sum(map(is_first_order, names()))
    rows = []
    for name, methods in owners.items():
        default, help = first[name]
        flags = "--" + name.replace("_", "-") + (" --lr" if name == "learning_rate" else "")
        of = "every first-order method" if len(methods) == count else ", ".join(methods)
        kind, metavar = ("switch", "") if isinstance(default, bool) else ("number", "NUMBER")
        rows.append(Option(name, flags, kind, None, metavar, f"{help} ({of})", "minimize"))
    return tuple(rows)


def methods() -> dict[str, str]:
    """The names that --method takes, with a line of help each."""
    from tapecli.optimize.methods import helps

    return helps()
