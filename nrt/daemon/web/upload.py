"""Uploads: a network or a model package from a page or a program, taken in parts, within a limit, and looked at.

What arrives goes to a file without a name of the sender's: it is called by the SHA-256 of its content once it is whole,
so it can neither stand for another nor lie elsewhere. It must begin as HDF5 (a NIR network) or zip (a package) does; a
network is read in another thread before it is accepted, with every check of `Network.load`; a package's own checks and
its signature are the matter of `nrt.daemon.models`. Nothing is ever unpickled.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrt.daemon.disk import settle
from nrt.errors import ConfigError, NrtError
from nrt.network import Network

KEPT: Final = 8
"""Uploads that stay; the oldest go."""
_BEGINNINGS: Final = {b"\x89HDF\r\n\x1a\n": ".nir", b"PK\x03\x04": ".nrtmodel"}


class TooLarge(ConfigError):
    """More bytes than are taken."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What was taken. about: for people"""

    path: Path
    sha256: str
    size: int
    about: str


async def take(parts: AsyncIterator[bytes], folder: Path, limit: int) -> Upload:
    """Keeps what `parts` bring in `folder`. Raises TooLarge, ConfigError for what is no network, OSError."""
    os.makedirs(folder, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".upload.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest, size, first = hashlib.sha256(), 0, b""
            async for part in parts:
                size += len(part)
                if size > limit:
                    raise TooLarge(f"an upload may have {limit:,} bytes (upload in [web])")
                first = (first + part)[:8] if len(first) < 8 else first
                digest.update(part)
                file.write(part)
            suffix = next((s for begin, s in _BEGINNINGS.items() if first.startswith(begin)), None)
            if suffix is None:
                raise ConfigError("an upload is a NIR network (HDF5) or a model package; this is neither")
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        about = await asyncio.to_thread(_look, Path(name)) if suffix == ".nir" else "a model package"
        path = folder / (digest.hexdigest() + suffix)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    await asyncio.to_thread(settle, folder)
    _prune(folder)
    return Upload(path, digest.hexdigest(), size, about)


def _look(path: Path) -> str:
    """What a network is. Raises ConfigError for a file that is none."""
    try:
        network = Network.load(path)
    except NrtError as error:
        raise ConfigError(str(error).replace(str(path), "the upload")) from error
    return f"{len(network.populations)} populations, {network.neurons:,} neurons"


def _prune(folder: Path) -> None:
    """Removes the oldest, and what a daemon that was killed left half done; there is one upload at a time."""
    found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    whole = [path for path in found if path.suffix in _BEGINNINGS.values()]
    for path in (*whole[KEPT:], *folder.glob(".upload.*")):
        path.unlink(missing_ok=True)
