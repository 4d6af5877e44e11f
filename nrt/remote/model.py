"""Which model a node is to run: the arguments of the command `deploy`."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from nrt.daemon.notice import Json
from nrt.errors import ConfigError, NotFound

CONFIGURED = "configured"
"""In the place of an address: the network that the node's configuration names."""
_ADDRESS = re.compile(r"[0-9a-f]{64}")


def deployment(model: str | Path, *, force: bool = False) -> dict[str, Json]:
    """model: a Path of this machine is sent along; a text names what the node has: a file, an address, `configured`.

    Raises NotFound, ConfigError for a file that is no package.
    """
    more: dict[str, Json] = {"force": True} if force else {}
    if isinstance(model, Path):
        return {"data": base64.b64encode(_read(model)).decode(), **more}
    known = model == CONFIGURED or _ADDRESS.fullmatch(model) is not None
    return {"package" if known else "path": model, **more}


def _read(file: Path) -> bytes:
    """A package's bytes, which its node checks."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise NotFound(str(file), f"{file} cannot be read: {error.strerror}") from error
    if data[:2] != b"PK":
        raise ConfigError(f"{file} is no model package; nrt package make makes one of a network")
    return data
