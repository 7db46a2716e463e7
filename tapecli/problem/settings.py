"""How a problem is run."""

from __future__ import annotations

from collections.abc import Mapping

from tapecli import engines, limits
from tapecli.core import Array
from tapecli.errors import TapeError

DTYPES = ("float64", "float32")


class Settings:
    """How a problem is run: precision, engine, where data may lie, the seed, the conventions at ties and for empty
    cells of data, how machine code is made, and how much memory may be taken."""

    __slots__ = ("budget", "data_root", "dtype", "engine", "folder", "free", "how", "kink", "missing", "seed")

    def __init__(
        self,
        dtype: str,
        engine: str,
        folder: str,
        data_root: str | None,
        seed: int,
        kink: str,
        missing: str,
        free: Mapping[str, Array],
        threads: int | None = None,
        cache: bool = True,
        max_memory: int | str | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise TapeError("usage", f"there is no precision {dtype!r}", hint="float64 or float32")
        engines.check(engine)
        if kink not in ("half", "tf"):
            raise TapeError("usage", f"there is no convention {kink!r} at ties", hint="half or tf")
        if missing not in ("error", "drop"):
            raise TapeError("usage", f"there is no rule {missing!r} for empty cells", hint="error or drop")
        if threads is not None and threads < 1:
            raise TapeError("usage", f"threads is 1 or more, not {threads}")
        self.dtype = dtype
        self.engine = engine
        self.folder = folder
        self.data_root = folder if data_root is None else data_root
        self.seed = seed
        self.kink = kink
        self.missing = missing
        self.free = free
        self.how = engines.How(threads, cache)
        self.budget = limits.budget(max_memory)
