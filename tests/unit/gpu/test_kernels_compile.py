"""Every kernel with every template option is compiled for every architecture; no GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nrt.errors import MissingDependency
from nrt_sim.gpu.compile import ARCHITECTURES, CompileError, cubin, library, needs, read_needs
from nrt_sim.gpu.kernels import FILES, FOLDER, KERNELS, OPTIONS, text

REGISTERS = 65536
"""Of a multiprocessor, on every architecture (CUDA C++ Programming Guide, table of compute capabilities)."""
RESIDENT = 1024
"""Threads of a multiprocessor that its registers must allow at least: half of most, all of Turing."""


@pytest.fixture(autouse=True)
def nvrtc() -> None:
    try:
        library()
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.mark.timeout(600)  # some seconds of a core that nobody else wants
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles_within_its_budget_of_registers_and_spills_nothing(architecture: str) -> None:
    threads = {k.instance(option): k.threads for k in KERNELS for option in k.options}
    found = {name: need for file in FILES for name, need in needs(file, architecture).items()}
    assert found.keys() == threads.keys()
    for name, need in found.items():
        assert need.stack == 0, f"{name} spills {need.stack} bytes"
        assert 8 <= need.registers <= REGISTERS // RESIDENT, f"{name} takes {need.registers} registers"
        assert need.shared <= 48 * 1024


def test_a_mistake_in_a_kernel_is_reported_with_its_file_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = text("collect.cu").replace("c.chunk->k += c.span;", "c.chunk->k += c.spam;")
    line = next(
        n
        for n, row in enumerate(FOLDER.joinpath("collect.cu").read_text(encoding="utf-8").splitlines(), 1)
        if "k += c.span" in row
    )
    monkeypatch.setattr("nrt_sim.gpu.compile.text", {"collect.cu": broken}.__getitem__)
    with pytest.raises(CompileError, match=rf'collect\.cu\({line}\).*"spam"'):
        cubin("collect.cu", ["tick"], "sm_90")


def test_figures_read_from_machine_code_are_those_that_ptxas_prints(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    spilling = text("parallel.cu") + "template __global__ void parallel<32>(Parallel);\n"
    (tmp_path / "k.cu").write_text(spilling, encoding="utf-8")
    command = [
        nvcc,
        *OPTIONS,
        "-arch=sm_90",
        "--maxrregcount=24",
        "-Xptxas",
        "-v",
        "-cubin",
        "-o",
        "k.cubin",
        "k.cu",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nvcc does not work here: {done.stderr.strip().splitlines()[-1]}")
    (need,) = read_needs((tmp_path / "k.cubin").read_bytes()).values()
    said = {
        "registers": re.search(r"Used (\d+) registers", done.stderr),
        "stack": re.search(r"(\d+) bytes stack frame", done.stderr),
        "shared": re.search(r"(\d+) bytes smem", done.stderr),
    }
    printed = {name: int(match[1]) for name, match in said.items() if match is not None}
    assert printed["stack"] > 0, "the limit was to make it spill"
    assert (need.registers, need.stack) == (printed["registers"], printed["stack"])
    assert need.shared == printed["shared"] + 1024, "sm_90 keeps 1 KiB of every block for itself"
