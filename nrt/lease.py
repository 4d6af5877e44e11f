"""Leases: one process at a time has a device, on this machine, whoever starts it.

A scheduler's resources are promises between those who ask it. A lease is a lock of the kernel (flock) on a file named
after the device: whoever holds it has the device, and however that process ends, the lease ends with it. Only what is
there once is leased: a device behind a wire, or one whose class says `exclusive`. Emulated boards and simulators are
made anew for everybody who opens them.

The files lie in /run/lock, else in the folder for temporary files, or where NRT_LEASES says, and are never removed:
a lock on a file that somebody else may delete protects nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from nrt import registry
from nrt.errors import DeviceBusy, NotFound
from nrt.uri import Uri

_PUBLIC: Final = Path("/run/lock")


def exclusive(device: str) -> bool:
    """Whether the device that a URI names is there once. Raises NotFound, ConfigError, MissingDependency."""
    uri = Uri.parse(device)
    rows = registry.table("devices")
    if uri.scheme not in rows:
        raise NotFound(uri.scheme, f"no device '{uri.scheme}:'; there is {', '.join(rows)}", list(rows))
    made: Any = registry.load(rows[uri.scheme])
    return bool(made.exclusive or (made.wires and uri.wire != "emu"))


class Lease:
    """The right to use a device; use it with `with`. Raises DeviceBusy where somebody else has it.

    who: what others are told of the holder
    """

    def __init__(self, device: str, who: str) -> None:
        self._device, self._who = device, who
        self._path = _folder() / f"nrt-{_name(device)}.lease"
        self._file = -1

    def __enter__(self) -> Self:
        if not exclusive(self._device):
            return self
        self._file = _open(self._path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 200).decode(errors="replace").strip()
            self._close()
            raise DeviceBusy(
                self._device, f"leased to {holder or 'another process'}; see {self._path}"
            ) from error
        with contextlib.suppress(OSError):  # the file of another user can be locked, not written
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{self._who}, process {os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._close()

    @property
    def held(self) -> bool:
        """Whether others are kept out; False before `with`, after it, and for what is there for everybody."""
        return self._file >= 0

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _folder() -> Path:
    given = os.environ.get("NRT_LEASES")
    if given:
        return Path(given)
    return _PUBLIC if os.access(_PUBLIC, os.W_OK) else Path(tempfile.gettempdir())


def _name(device: str) -> str:
    """The device without its options, and by the path that a link leads to: two names of one port are one lease."""
    uri = Uri.parse(device)
    place = os.path.realpath(uri.place) if uri.place.startswith("/") else uri.place
    key = f"{uri.scheme}+{uri.wire}:{place}"
    return f"{re.sub('[^a-z0-9]+', '-', key.lower()).strip('-')[:60]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _open(path: Path) -> int:
    """A descriptor to lock: of another user's file one for reading, which is enough for that."""
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY):
        with contextlib.suppress(FileNotFoundError, FileExistsError, PermissionError):
            return os.open(path, flags | os.O_CLOEXEC, 0o644)
    raise DeviceBusy(
        str(path), "this lease can be neither read nor made; say where leases lie with NRT_LEASES"
    )
