"""The command `deploy`: a network's file by its path, or a signed package by path, address or as the bytes themselves.

Whoever may send commands must not be able to name any file of the machine, and where the configuration names keys, not
to run anything that nobody trusted signed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nrt.daemon.notice import Json
from nrt.daemon.pipeline import Pipeline
from nrt.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from nrt.daemon.models.updates import Updates

ENDING: Final = ".nrtmodel"
"""How the file of a package ends."""
_WAYS: Final = ("path", "package", "data")


async def deploy(
    pipeline: Pipeline, arguments: Mapping[str, Json], models: Updates | None, folder: Path
) -> Json:
    """Carries the command out. models: None where the configuration has no [models]; folder: of models.

    Raises ConfigError, NotFound, BadPackage, and what the device has against the network.
    """
    given = [name for name in _WAYS if name in arguments]
    if len(given) != 1:
        raise ConfigError(
            "deploy needs one of path, the name of a network or package, package, the address of one that was "
            "uploaded, and data, a package in base 64"
        )
    value, force = arguments[given[0]], arguments.get("force", False)
    if not isinstance(value, str) or not value or not isinstance(force, bool):
        raise ConfigError(f"deploy: {given[0]} is a text, and force is true or false")
    if given == ["path"] and not value.endswith(ENDING):
        if models is not None and not models.settings.unsigned:
            raise ConfigError("only signed packages are deployed here ([models] in the configuration)")
        return str(await pipeline.deploy(find(value, [folder, pipeline.declared.network.parent])))
    if models is None:
        raise ConfigError("packages need [models] in the configuration, with the keys to trust")
    if given == ["path"]:
        value = (await models.receive(find(value, [folder]))).address
    elif given == ["data"]:
        value = (await models.receive(_bytes(value))).address
    return await models.deploy(pipeline, value, force=force)


def find(path: str, folders: list[Path]) -> Path:
    """The file that `path` names within one of `folders`. Raises ConfigError, NotFound."""
    if len(path) >= 1_000 or "\0" in path:
        raise ConfigError("path is no name of a file")
    for folder in folders:
        whole = (folder / path).resolve()
        if whole.is_relative_to(folder.resolve()) and whole.is_file():
            return whole
    raise NotFound(path, f"no network '{path[:200]}' in {' or '.join(map(str, folders))}")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("data is not base 64") from error
