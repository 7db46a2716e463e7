"""Formula, values and engine together: the Python API that the command line calls."""

from tapecli.problem.facade import Problem
from tapecli.problem.loading import load, parse

__all__ = ["Problem", "load", "parse"]
