"""Which GPUs can be used here, or the exact reason why none can. Imports neither torch nor CuPy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

from nrt.errors import DeviceError
from nrt.profile.nvml import Nvml


def torch_cuda() -> str:
    """The CUDA version that the installed torch was built for; "" for none. Raises ModuleNotFoundError."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else ""


def cupy_cuda() -> int:
    """The CUDA major that the installed CuPy was built for. Raises ModuleNotFoundError."""
    for major in (13, 12, 11):
        try:
            importlib.metadata.distribution(f"cupy-cuda{major}x")
        except importlib.metadata.PackageNotFoundError:
            continue
        return major
    raise ModuleNotFoundError("No module named 'cupy'", name="cupy")


def obstacle(driver: tuple[int, int], torch: Callable[[], str], cupy: Callable[[], int]) -> str:
    """Why this Python cannot use a GPU whose driver runs CUDA `driver`; "" if it can.

    torch, cupy: `torch_cuda` and `cupy_cuda`
    """
    extra = f"gpu-cuda{min(max(driver[0], 12), 13)}"
    try:
        built = torch()
    except ModuleNotFoundError:
        return f"torch is not installed: pip install 'nrt-runtime[{extra}]'"
    if not built:
        return "the installed torch was built without CUDA: install the build for your CUDA from pytorch.org"
    try:
        major = cupy()
    except ModuleNotFoundError:
        return f"CuPy is not installed: pip install 'nrt-runtime[{extra}]'"
    for name, needs in (("torch", int(built.partition(".")[0])), ("CuPy", major)):
        if needs > driver[0]:
            return (
                f"the installed {name} is for CUDA {needs}, the driver runs CUDA {driver[0]}.{driver[1]} at most: "
                f"update the driver, or pip install 'nrt-runtime[{extra}]'"
            )
    if int(built.partition(".")[0]) != major:
        return f"torch is built for CUDA {built} and CuPy for CUDA {major}: install both for the same major version"
    return ""


def survey(
    load: Callable[[], Nvml] = Nvml.load,
    torch: Callable[[], str] = torch_cuda,
    cupy: Callable[[], int] = cupy_cuda,
) -> str:
    """The GPUs with their memory, or why none can be used; one sentence."""
    try:
        nvml = load()
        gpus, driver = nvml.gpus(), nvml.cuda()
    except DeviceError as error:
        return f"no GPU: {str(error).removeprefix('cuda: ')}"
    if not gpus:
        return "no GPU: the NVIDIA driver sees none"
    listed = "; ".join(map(str, gpus))
    reason = obstacle(driver, torch, cupy)
    return f"{listed}, but {reason}" if reason else f"ready: {listed}"
