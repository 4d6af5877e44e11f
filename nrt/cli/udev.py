"""`nrt udev`: rules that let people use the USB devices nrt has definitions of, without being root.

The rules come from the definitions themselves. They give a device to whoever sits at the machine (uaccess) and to the
group plugdev, for those who log in from elsewhere. Their number must be below 73, at which systemd grants access.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from nrt.cli.attached import known
from nrt.errors import ConfigError

FILE: Final = "70-nrt.rules"
FOLDER: Final = Path("/etc/udev/rules.d")


def rules() -> str:
    """The text of the rules file."""
    lines = [
        f'# {", ".join(names)}\nSUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}",'
        ' MODE="0660", GROUP="plugdev", TAG+="uaccess"'
        for (vendor, product), names in sorted(known().items())
    ]
    return "\n".join(
        ["# Event cameras and chips that nrt drives; written by `nrt udev --install`.", *lines, ""]
    )


def install(folder: Path = FOLDER) -> str:
    """Writes the rules into `folder` and, if it is the system's, has udev read them. Returns what was done.

    Raises ConfigError, with the command to run, where that is not permitted.
    """
    path = folder / FILE
    try:
        path.write_text(rules(), encoding="utf-8")
    except PermissionError as error:
        program = shutil.which("nrt") or f"{sys.executable} -m nrt"
        raise ConfigError(f"cannot write {path}; run: sudo {program} udev --install") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    if folder != FOLDER:
        return f"{path} is written"
    return f"{path} is written{_reload()}; unplug the device and plug it in again"


def _reload() -> str:
    program = shutil.which("udevadm", path=os.defpath + ":/sbin:/usr/sbin")
    if program is None:
        return ", but udevadm is not here to read it"
    for words in (["control", "--reload"], ["trigger", "--subsystem-match=usb"]):
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            return f", but udevadm {words[0]} failed: {done.stderr.strip()}"
    return " and read by udev"
