"""What goes wrong on a GPU while it computes, as nrt's errors.

torch and CuPy raise classes of their own, which cannot be named without importing them; their names and the first line
of their messages can.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from nrt.errors import DeviceError, DeviceLost

_LOST = ("AcceleratorError", "CUDARuntimeError", "CUDADriverError")
_MEMORY = ("can't allocate memory", "out of memory", "cudaErrorMemoryAllocation")


@contextmanager
def translated(uri: str) -> Generator[None]:
    """Raises DeviceError where memory ran out, DeviceLost where the GPU failed or went away."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        names = {kind.__name__ for kind in type(error).__mro__}
        if "OutOfMemoryError" in names or isinstance(error, MemoryError) or _any(_MEMORY, message):
            raise DeviceError(
                uri, f"out of memory: {message}; run a smaller batch or span, or watch fewer populations"
            ) from error
        if names & set(_LOST) or message.startswith("CUDA error"):
            raise DeviceLost(
                uri, f"the GPU failed: {message}; what was on it is gone, open the device again"
            ) from error
        raise


def _any(parts: tuple[str, ...], message: str) -> bool:
    return any(part.lower() in message.lower() for part in parts)
