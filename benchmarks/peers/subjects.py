"""Who takes part: tapecli's engines, the peers, and what stands beside them for comparison."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

from case import Case
from workloads import Workload

#: `ours` is measured, a `peer` is what it is held against, `beside` is shown and counts for nothing.
ROLES = ("ours", "peer", "beside", "machine")


class Subject(NamedTuple):
    """`module` has the function `make`; `packages` have to be installed, `also` may be: their versions matter.
    `threads` is how many cores it may use."""

    name: str
    role: str
    module: str
    flavour: str
    packages: tuple[str, ...]
    threads: int = 1
    also: tuple[str, ...] = ()

    def make(self, workload: Workload, place: Path) -> Case:
        """The workload with the data that lie at `place`, in this subject's words."""
        module: Any = importlib.import_module(self.module)
        data = workload.get(place)
        if self.role == "ours":
            return module.make(workload, data, self.flavour, place)  # type: ignore[no-any-return]
        return module.make(workload, data, self.flavour)  # type: ignore[no-any-return]


_OURS = "peer_tapecli"
SUBJECTS = {
    s.name: s
    for s in (
        Subject("tapecli", "ours", _OURS, "native", ("tapecli",), also=("llvmlite",)),
        Subject("tapecli, by names", "ours", _OURS, "native-plain", ("tapecli",)),
        Subject("tapecli, 2 threads", "ours", _OURS, "native-2", ("tapecli",), threads=2),
        Subject("tapecli, numpy", "ours", _OURS, "numpy", ("tapecli",)),
        Subject("tapecli, tape", "ours", _OURS, "tape", ("tapecli",)),
        Subject("jax", "peer", "peer_jax", "", ("jax", "jaxlib")),
        Subject("torch", "peer", "peer_torch", "eager", ("torch",)),
        Subject("torch.compile", "peer", "peer_torch", "compile", ("torch",)),
        Subject("tensorflow", "peer", "peer_tensorflow", "", ("tensorflow",)),
        Subject("casadi", "peer", "peer_casadi", "", ("casadi",)),
        Subject("pytensor", "peer", "peer_pytensor", "", ("pytensor",)),
        Subject("autograd", "peer", "peer_autograd", "", ("autograd",)),
        Subject("numpy by hand", "beside", "peer_byhand", "numpy", ("numpy",)),
        Subject("numexpr by hand", "beside", "peer_byhand", "numexpr", ("numexpr",)),
        Subject("copy", "machine", "peer_machine", "copy", ("numpy",)),
        Subject("flops", "machine", "peer_machine", "flops", ("numpy",)),
    )
}
#: The one that ratios and goals are about.
OURS = "tapecli"
