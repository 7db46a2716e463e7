"""One subject on one workload, in a process of its own, at the orders of `run.py`.

    python worker.py SUBJECT WORKLOAD

Orders come as JSON lines on standard input; answers go as JSON lines to the standard output that the process began
with. Whatever a library prints goes to standard error. Between orders the process sleeps.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

#: Calls are repeated until a batch takes about this long, in seconds.
BATCH = 0.008
MOST = 20_000


def peak(reset: bool = False) -> float | None:
    """The greatest size of this process in MB since it was last reset; None where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    except OSError:
        pass
    return None


class Worker:
    def __init__(self, subject: str, workload: str) -> None:
        import subjects
        import workloads

        self.subject, self.workload = subjects.SUBJECTS[subject], workloads.WORKLOADS[workload]
        self.case: Any = None
        self.calls: dict[str, int] = {}

    def load(self) -> dict[str, Any]:
        """Imports what the subject needs, which can take seconds, and is no part of getting ready."""
        importlib.import_module(self.subject.module)
        return {}

    def prepare(self, place: str, results: str) -> dict[str, Any]:
        """Loads the data, builds everything, runs once, and writes the derivative to the file `results`."""
        import numpy as np

        self.case = None
        gc.collect()
        peak(reset=True)
        begin = perf_counter()
        self.case = self.subject.make(self.workload, Path(place))
        found = self.case.run()
        ready = perf_counter() - begin
        value, derivative = self.case.numbers(found)
        np.save(results, derivative)
        del found
        size = peak()
        self.calls = {"run": self._calibrate("run")}
        if self.case.value is not None:
            self.case.value()
            self.calls["value"] = self._calibrate("value")
        return {"ready": ready, "value": value, "peak": size, "remark": self.case.remark}

    def _calibrate(self, what: str) -> int:
        """How many calls make a batch."""
        call, calls = getattr(self.case, what), 1
        while True:
            begin = perf_counter()
            for _ in range(calls):
                call()
            took = perf_counter() - begin
            if took > BATCH / 4 or calls >= MOST:
                return max(1, min(MOST, round(calls * BATCH / max(took, 1e-9))))
            calls *= 4

    def batch(self) -> dict[str, Any]:
        """Seconds per call of a batch of each kind, after one call that only warms the caches."""
        times = {}
        gc.collect()
        gc.disable()
        for what, calls in self.calls.items():
            call = getattr(self.case, what)
            call()
            begin = perf_counter()
            for _ in range(calls):
                call()
            times[what] = (perf_counter() - begin) / calls
        gc.enable()
        return times

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        from case import Skip

        try:
            return {"ok": True, **getattr(self, order.pop("do"))(**order)}
        except Skip as reason:
            return {"ok": False, "skipped": str(reason)}
        except Exception as error:
            import traceback

            traceback.print_exc()
            return {"ok": False, "failed": f"{type(error).__name__}: {error}".partition("\n")[0][:300]}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        channel.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
