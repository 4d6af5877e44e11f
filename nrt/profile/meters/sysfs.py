"""Reading numbers from files of the kernel, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

from nrt.errors import DeviceError, DeviceLost

SYS = Path("/sys")


def text(path: Path) -> str | None:
    """What is in a file, without the line's end; None where there is none or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(name: str, path: Path, fix: str = "") -> int:
    """The whole number in a file. Raises DeviceLost, DeviceError.

    name: of the meter, for messages · fix: what gives permission
    """
    try:
        found = path.read_text(encoding="utf-8", errors="replace").strip()
    except PermissionError:
        raise DeviceError(name, f"no permission to read {path}; {fix or 'run as root'}") from None
    except FileNotFoundError:
        raise DeviceLost(name, f"{path} is gone") from None
    except OSError as error:
        raise DeviceLost(name, f"cannot read {path}: {error.strerror or error}") from error
    try:
        return int(found)
    except ValueError:
        raise DeviceError(name, f"{path} holds '{found[:40]}', which is no number") from None
