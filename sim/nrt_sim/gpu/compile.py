"""Kernels compiled by NVRTC, without a GPU or a driver: what CI does with every kernel and template option.

libnvrtc comes with CUDA or with the package nvidia-cuda-nvrtc, and is called through ctypes. What a kernel needs is
read from the machine code itself (an ELF file): the compiler notes registers and stack in the section `.nv.info`.

`python -m nrt_sim.gpu.compile` compiles everything and prints registers per thread; a stack, which none has, follows.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Mapping, Sequence
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from nrt.errors import MissingDependency, NrtError
from nrt_sim.gpu.kernels import FILES, KERNELS, OPTIONS, text

ARCHITECTURES: Final = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""Turing, Ampere (two), Ada, Hopper, Blackwell (two)."""

_REGISTERS, _FRAME = 0x2F, 0x11  # attributes in .nv.info; each says a symbol and a number
_SYMBOLS, _SIZED = 2, 0x04


class CompileError(NrtError):
    """NVRTC refused a kernel; the message is its log."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one kernel needs: registers of a thread, bytes of its stack (0: nothing is spilled) and of shared memory."""

    registers: int
    stack: int
    shared: int


@cache
def library() -> Any:
    """libnvrtc. Raises MissingDependency."""
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise MissingDependency("compiling kernels without a GPU", "nvidia-cuda-nvrtc", "test")


def _candidates() -> Iterator[str]:
    package = find_spec("nvidia")
    for folder in (package.submodule_search_locations or []) if package else []:
        yield from sorted(map(str, Path(folder).glob("*/lib/libnvrtc.so.*")), reverse=True)
    if found := find_library("nvrtc"):
        yield found


def cubin(file: str, names: Sequence[str], architecture: str) -> tuple[bytes, Mapping[str, str]]:
    """Machine code of the named instances of a kernel file, and what they are called there. Raises CompileError."""
    nvrtc = library()
    program = ctypes.c_void_p()
    source = text(file).encode()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, file.encode(), 0, None, None))
    try:
        for name in names:
            _check(nvrtc, nvrtc.nvrtcAddNameExpression(program, name.encode()))
        options = [f"--gpu-architecture={architecture}", *OPTIONS]
        array = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        if nvrtc.nvrtcCompileProgram(program, len(options), array):
            raise CompileError(f"{file} for {architecture}:\n{_log(nvrtc, program)}")
        lowered = {name: _lowered(nvrtc, program, name) for name in names}
        size = ctypes.c_size_t()
        _check(nvrtc, nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        code = ctypes.create_string_buffer(size.value)
        _check(nvrtc, nvrtc.nvrtcGetCUBIN(program, code))
        return code.raw, lowered
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _check(nvrtc: Any, status: int) -> None:
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CompileError(nvrtc.nvrtcGetErrorString(status).decode())


def _lowered(nvrtc: Any, program: ctypes.c_void_p, name: str) -> str:
    found = ctypes.c_char_p()
    _check(nvrtc, nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(found)))
    return (found.value or b"").decode()


def _log(nvrtc: Any, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.value.decode(errors="replace")


def needs(file: str, architecture: str) -> dict[str, Needs]:
    """What every instance of every kernel of a file needs on an architecture. Raises CompileError."""
    names = [k.instance(option) for k in KERNELS if k.file == file for option in k.options]
    code, lowered = cubin(file, names, architecture)
    figures = read_needs(code)
    return {name: figures[symbol] for name, symbol in lowered.items()}


def read_needs(code: bytes) -> dict[str, Needs]:
    """What the kernels of a cubin need, by symbol."""
    sections = _sections(code)
    names = _symbol_names(code, sections)
    attributes = dict(_attributes(sections[".nv.info"][0]))
    shared = {
        name.removeprefix(".nv.shared."): size
        for name, (_, size) in sections.items()
        if name.startswith(".nv.shared.")
    }
    return {
        names[symbol]: Needs(number, attributes.get((_FRAME, symbol), 0), shared.get(names[symbol], 0))
        for (attribute, symbol), number in attributes.items()
        if attribute == _REGISTERS
    }


def _sections(code: bytes) -> dict[str, tuple[bytes, int]]:
    """The sections of a 64-bit ELF file by name: what is in them, and their size."""
    (table,) = struct.unpack_from("<Q", code, 40)
    entry, count, strings = struct.unpack_from("<HHH", code, 58)
    headers = [struct.unpack_from("<IIQQQQ", code, table + k * entry) for k in range(count)]
    at = headers[strings][4]
    named: dict[str, tuple[bytes, int]] = {}
    for name, _, _, _, offset, size in headers:
        begin = at + name
        label = code[begin : code.index(b"\0", begin)].decode()
        named[label] = (code[offset : offset + size], size)
    return named


def _symbol_names(code: bytes, sections: dict[str, tuple[bytes, int]]) -> list[str]:
    symbols, strings = sections[".symtab"][0], sections[".strtab"][0]
    starts = [struct.unpack_from("<I", symbols, at)[0] for at in range(0, len(symbols), 24)]
    return [strings[start : strings.index(b"\0", start)].decode() for start in starts]


def _attributes(info: bytes) -> Iterator[tuple[tuple[int, int], int]]:
    """((attribute, symbol), number) of every attribute of that form."""
    at = 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form != _SIZED:
            continue
        if size == 8:
            symbol, number = struct.unpack_from("<II", info, at)
            yield (attribute, symbol), number
        at += size


def main() -> None:
    """Prints what every instance needs on every architecture."""
    print(f"{'registers per thread':24}" + "".join(f"{name:>9}" for name in ARCHITECTURES))
    for file in FILES:
        found = [needs(file, architecture) for architecture in ARCHITECTURES]
        for name in found[0]:
            cells = (each[name] for each in found)
            print(
                f"{name:24}"
                + "".join(f"{f'{n.registers}+{n.stack}' if n.stack else n.registers:>9}" for n in cells)
            )


if __name__ == "__main__":
    main()
