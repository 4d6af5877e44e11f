"""Packages on disk, and which of them each pipeline runs.

A package stands under its address, complete or not at all; what a pipeline runs is one small file that is replaced
whole. So whenever the power goes, what is found afterwards is the state before a step or the one after it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from nrt import plain
from nrt.daemon.disk import replace
from nrt.daemon.models import package
from nrt.daemon.models.package import Package
from nrt.errors import BadPackage, ConfigError, NotFound

_ENDING: Final = ".nrtmodel"
_ADDRESS: Final = re.compile(r"[0-9a-f]{64}")
Stage = Literal["good", "probation"]


@dataclass(frozen=True, slots=True)
class Installed:
    """What a pipeline runs: packages by address, None for the network of its configuration.

    stage:   "probation" until the health check is over · boots: starts of the daemon since then
    highest: the greatest version that ever passed · refused: what was rolled back from, newest last
    """

    current: str | None = None
    previous: str | None = None
    stage: Stage = "good"
    boots: int = 0
    highest: int = 0
    refused: tuple[str, ...] = ()

    def on_trial(self, address: str) -> Installed:
        """After a switch to the package `address`."""
        return dataclasses.replace(self, current=address, previous=self.current, stage="probation", boots=0)

    def passed(self, version: int) -> Installed:
        """After a good health check."""
        return dataclasses.replace(
            self, previous=None, stage="good", boots=0, highest=max(self.highest, version)
        )

    def rolled_back(self) -> Installed:
        """After a bad one."""
        refused = (*self.refused, *([self.current] if self.current else []))[-16:]
        return dataclasses.replace(
            self, current=self.previous, previous=None, stage="good", boots=0, refused=refused
        )


class Store:
    """A folder of packages and of what runs. keep: packages that stay although no pipeline runs them."""

    def __init__(self, folder: Path, keep: int = 4, limit: int = package.LIMIT) -> None:
        self._folder, self._keep, self.limit = folder, keep, limit
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):  # by a daemon that was killed while it wrote
            left.unlink(missing_ok=True)

    def put(self, made: Package) -> str:
        """Keeps a package; returns its address. Raises OSError where the disk is full; nothing is left then."""
        path = self._path(made.address)
        replace(path, made.to_bytes())
        return made.address

    def get(self, address: str) -> Package:
        """The package. Raises NotFound, BadPackage where the file is damaged."""
        if not _ADDRESS.fullmatch(address):
            raise NotFound(address, f"'{address}' is no address of a package: 64 hexadecimal digits")
        path = self._path(address)
        if not path.exists():
            raise NotFound(address, f"no package {address[:12]} in {self._folder}", self.addresses())
        made = package.read(path, self.limit)
        if made.address != address:
            raise BadPackage(str(path), f"it holds the package {made.address[:12]}")
        return made

    def addresses(self) -> list[str]:
        """All packages, the newest last."""
        files = [path for path in self._folder.glob(f"*{_ENDING}") if _ADDRESS.fullmatch(path.stem)]
        return [path.stem for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]

    def installed(self, pipeline: str) -> Installed:
        """What a pipeline runs. Raises BadPackage where the file that says so is damaged."""
        try:
            return plain.decode(Installed, json.loads(self._state(pipeline).read_bytes()))
        except FileNotFoundError:
            return Installed()
        except (ValueError, ConfigError) as error:
            raise BadPackage(str(self._state(pipeline)), f"it does not say what runs: {error}") from error

    def install(self, pipeline: str, installed: Installed) -> None:
        """Says what a pipeline runs from now on, and forgets packages that nobody needs."""
        replace(self._state(pipeline), json.dumps(plain.encode(installed)).encode())
        self._prune()

    def _prune(self) -> None:
        used: set[str] = set()
        for path in self._folder.glob("*.json"):
            state = self.installed(path.stem)
            used |= {each for each in (state.current, state.previous) if each is not None}
        idle = [each for each in self.addresses() if each not in used]
        for address in idle[: -self._keep or None]:
            for path in self._folder.glob(f"{address}.*"):  # the package and what was unpacked of it
                path.unlink(missing_ok=True)

    def _path(self, address: str) -> Path:
        return self._folder / f"{address}{_ENDING}"

    def _state(self, pipeline: str) -> Path:
        return self._folder / f"{pipeline}.json"
