"""What the daemon tells systemd (sd_notify(3)), and the unit that it is run by.

A message is a datagram to the socket that NOTIFY_SOCKET names. Outside systemd there is none, and nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Final

CONFIG: Final = Path("/etc/nrt/edge.toml")
"""Where a packaged daemon's configuration is."""
_LONGEST: Final = 200
"""Characters of a status line."""


class Notifier:
    """Sends to the service manager; where there is none, or it is gone, nothing happens."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address.startswith(("@", "/")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.interval = self._watchdog()
        """Seconds after which the manager ends a daemon that has not called `alive`; None where it does not watch."""

    def _watchdog(self) -> float | None:
        if self._socket is None or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        text = os.environ.get("WATCHDOG_USEC", "")
        return int(text) / 1e6 if text.isdecimal() and int(text) else None

    def ready(self) -> None:
        """It is up, or has reloaded."""
        self._send("READY=1")

    def reloading(self) -> None:
        """It reads its configuration again; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feeds the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split())[:_LONGEST])

    def close(self) -> None:
        """No more messages."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # a manager that does not listen is no reason to stop
                self._socket.sendto(message.encode(), self._address)


def unit(config: Path | None = None) -> str:
    """The unit file, for the nrt that runs now and the configuration at `config`."""
    found = shutil.which("nrt")
    program = str(Path(found).absolute()) if found else f"{sys.executable} -m nrt"
    text = resources.files("nrt.daemon").joinpath("nrt.service").read_text(encoding="utf-8")
    text = text.replace("/usr/bin/nrt", program)
    text = text.replace(str(CONFIG), str((config or CONFIG).absolute()))
    homes = ("/home/", "/root/")
    if any(str(each).startswith(homes) for each in (program, (config or CONFIG).absolute())):
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")
    return text
