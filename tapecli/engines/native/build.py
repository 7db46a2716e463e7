"""From a module's text to machine code: the one door to llvmlite."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tapecli import collector
from tapecli.engines.native import cache
from tapecli.engines.native.elf import Image, Refused
from tapecli.engines.native.host import Host


def target_machine() -> Any:
    """LLVM's code generator for this machine."""
    with collector.importing():
        import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=1,
        codemodel="small",
        reloc="pic",
    )


def optimised(text: str, machine: Any) -> Any:
    """The module, verified, with its allocations made registers and repeated instructions shared."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.run(module, builder)
    return module


def compiled(text: str) -> bytes:
    """The object file of a module."""
    machine = target_machine()
    return bytes(machine.emit_object(optimised(text, machine)))


def assembly(text: str) -> str:
    """The machine code of a module as people read it."""
    machine = target_machine()
    return str(machine.emit_assembly(optimised(text, machine)))


class Jit:
    """An object file in memory, by LLVM's own loader."""

    def __init__(self, content: bytes, names: Sequence[str]) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._jit = llvm.create_lljit_compiler()
        builder = llvm.JITLibraryBuilder().add_object_img(content)
        for name in names:
            builder = builder.export_symbol(name)
        self._library = builder.add_current_process().link(self._jit, "tapecli")

    def address(self, name: str) -> int:
        return int(self._library[name])


def key_of(program: str, machine: Host) -> str:
    """The name in the cache of a program on a machine."""
    return cache.key_of(program, machine.key, machine.attributes, llvm_version())


@lru_cache(maxsize=1)
def llvm_version() -> str:
    """The version of llvmlite, without importing it (that alone would take longer than all the rest). Raises
    ImportError where it is missing."""
    from importlib.util import find_spec

    spec = find_spec("llvmlite")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("llvmlite is not installed")
    beside = os.listdir(os.path.dirname(next(iter(spec.submodule_search_locations))))
    found = sorted(name for name in beside if name.startswith("llvmlite-") and name.endswith(".dist-info"))
    if found:
        return found[-1]
    import llvmlite

    return str(llvmlite.__version__)


def load(content: bytes, names: Sequence[str], machine: Host) -> Jit | Image:
    """The functions `names` of an object file, ready to run."""
    if sys.platform == "linux" and machine.key.split()[1] in ("x86_64", "amd64"):
        try:
            return Image(content)
        except Refused:
            pass
    return Jit(content, names)


def callable_at(address: int, result: Any = None) -> Any:
    """A function of compiled code; its arguments are ctypes values, its result of the ctypes type `result` (nothing
    without one). The call releases the interpreter's lock."""
    return ctypes.CFUNCTYPE(result)(address)
