"""Processes of subjects: their environment, the core they run on, orders and answers."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

from subjects import Subject

HERE = Path(__file__).parent


#: What tells libraries how many threads to take.
LIMITS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)  # fmt: skip


class Gone(Exception):
    """The process ended, or did not answer in time; the text says which."""


class Site:
    """Where a run takes place: interpreters, cores, and a folder for caches and logs that goes with the run.

    `pythons` maps the name of a subject to the interpreter that has its packages; "peers" stands for all that are not
    tapecli. Two cores are taken: one for everything that runs on one thread, both for what runs on two.
    """

    def __init__(self, folder: Path, pythons: dict[str, str]) -> None:
        self.folder = folder
        self._pythons = pythons
        self.cores: list[int] = sorted(os.sched_getaffinity(0))[-2:] if hasattr(os, "sched_getaffinity") else []
        (folder / "logs").mkdir()

    def python(self, subject: Subject) -> str:
        """The interpreter of a subject."""
        names = [subject.name, subject.name.partition(".")[0], *(["peers"] if subject.role != "ours" else [])]
        return next((self._pythons[name] for name in names if name in self._pythons), sys.executable)

    def environment(self, threads: int = 1, caches: str = "warm") -> dict[str, str]:
        """One thread for every library, no GPU, and caches of compiled code in a folder of this run's own.

        `caches` names that folder: the same name finds again what was kept there.
        """
        place = self.folder / "caches" / caches
        count = str(threads)
        named = dict.fromkeys(LIMITS, count)
        for own in ("tapecli", "inductor", "pytensor", "numba"):
            (place / own).mkdir(parents=True, exist_ok=True, mode=0o700)
        rest = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return rest | named | {
            "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads={count}",
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TAPECLI_CACHE": str(place / "tapecli"),
            "TORCHINDUCTOR_CACHE_DIR": str(place / "inductor"),
            "NUMBA_CACHE_DIR": str(place / "numba"),
            "PYTENSOR_FLAGS": f"base_compiledir={place / 'pytensor'}",
        }  # fmt: skip

    def pinned(self, command: list[str], threads: int = 1) -> list[str]:
        """The command, held on the cores that it may use, where the system can do that."""
        if not self.cores or not _has_taskset():
            return command
        cores = self.cores[-1:] if threads == 1 else self.cores
        return ["taskset", "-c", ",".join(map(str, cores)), *command]

    def installed(self, subject: Subject) -> dict[str, str] | None:
        """The versions of the packages that a subject needs or may use, or None where one that it needs is missing."""
        script = (
            "import sys, json, importlib.metadata as m, importlib.util as u\n"
            "needs, also = (words.split() for words in sys.argv[1:])\n"
            "there = all(u.find_spec(name) for name in needs)\n"
            "names = needs + [name for name in also if u.find_spec(name)]\n"
            "def v(name):\n"
            "    try: return m.version(name)\n"
            "    except m.PackageNotFoundError: return '?'\n"
            "print(json.dumps({name: v(name) for name in names} if there else None))"
        )
        command = [self.python(subject), "-c", script, " ".join(subject.packages), " ".join(subject.also)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None


def _has_taskset() -> bool:
    from shutil import which

    return which("taskset") is not None


class Process:
    """A `worker.py` that takes orders. Ended by `close`, and only it."""

    def __init__(self, site: Site, subject: Subject, workload: str) -> None:
        self.subject = subject
        self.log = site.folder / "logs" / f"{workload}-{subject.name.replace(' ', '-').replace(',', '')}.txt"
        command = site.pinned([site.python(subject), str(HERE / "worker.py"), subject.name, workload], subject.threads)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=site.environment(subject.threads), cwd=site.folder,
            )  # fmt: skip
        self._rest = b""

    def ask(self, timeout: float, **order: Any) -> dict[str, Any]:
        """The answer to one order. Raises Gone."""
        if not self.tell(**order):
            raise Gone(self._last_words())
        return self.hear(timeout)

    def tell(self, **order: Any) -> bool:
        """Gives an order; False where nobody is there to take it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def hear(self, timeout: float) -> dict[str, Any]:
        """The answer to the last order. Raises Gone."""
        process = self._process
        assert process.stdout is not None
        deadline = monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - monotonic())):
                    raise Gone(f"no answer within {timeout:.0f} s")
                found = os.read(process.stdout.fileno(), 1 << 16)
                if not found:
                    raise Gone(self._last_words())
                self._rest += found
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)  # type: ignore[no-any-return]

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        code = self._process.wait()
        return f"the process ended with {code}" + (f": {lines[-1][:200]}" if lines else "")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
