"""Updates: a package comes in, is checked, replaces what runs between two packets, and goes again if it does harm.

```
received ─signature→ stored ─golden run→ staged on disk ─between packets→ on trial ─health→ good
                                              │ the device refuses it        │ harm, or a crash while on trial
                                              └──────── nothing changed      └──→ rolled back, an alarm says why
```
Whatever a pipeline runs is written down before it runs, so a daemon that is killed at any moment starts again with
the model before or with the new one on trial; one that crashes `BOOTS` times on trial is rolled back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from nrt.clock import now, readable
from nrt.daemon.config import PipelineConfig
from nrt.daemon.disk import replace
from nrt.daemon.models import package as packages
from nrt.daemon.models.golden import check, network_of
from nrt.daemon.models.health import Health
from nrt.daemon.models.keys import trusted, verify
from nrt.daemon.models.manifest import NETWORK
from nrt.daemon.models.package import Package
from nrt.daemon.models.settings import ModelsConfig
from nrt.daemon.models.store import Installed, Store
from nrt.daemon.notice import AlarmKind, Json, Notice, State
from nrt.daemon.stats import Stats
from nrt.device import Placement
from nrt.errors import BadPackage, ConfigError, NrtError
from nrt.reading import Reading

log = logging.getLogger("nrt.daemon")

BOOTS: Final = 3
"""Starts of the daemon within one trial after which the model is held to be what kills it."""
CONFIGURED: Final = "configured"
"""What is written in place of a package's address for the network that the configuration names."""
_LOOK: Final = 0.25
"""Seconds between two looks at a model on trial."""


class Target(Protocol):
    """What of a `Pipeline` is needed here."""

    name: str
    declared: PipelineConfig
    state: State

    def stats(self) -> Stats:
        """Its figures."""
        ...

    async def deploy(self, path: str | Path, reading: Reading) -> Placement:
        """Switches between two packets. Raises what speaks against it; nothing has changed then."""
        ...

    async def run_with(self, path: Path, reading: Reading, why: str) -> None:
        """Runs that network from now on, whatever state it is in."""
        ...

    def alarm(self, kind: AlarmKind, text: str) -> None:
        """Tells people."""
        ...


class Updates:
    """The packages of a node. folder: where they are kept · listen: `Node.listen`."""

    def __init__(
        self,
        settings: ModelsConfig,
        folder: Path,
        listen: Callable[[Callable[[Notice], None]], Callable[[], None]],
    ) -> None:
        self.settings = settings
        self._folder, self._listen = folder, listen
        self._keys = trusted(settings.keys)
        self._store = Store(folder, settings.keep, settings.size)
        self._trials: dict[str, asyncio.Task[None]] = {}

    async def receive(self, data: bytes | Path) -> Package:
        """Keeps a package that somebody sent, if it is signed.

        Raises BadPackage, OSError (a full disk); nothing of it is kept then.
        """
        if isinstance(data, bytes) and len(data) > self.settings.size:
            raise BadPackage("package", f"it is larger than {self.settings.size:,} bytes")
        package = await asyncio.to_thread(packages.read, data, int(self.settings.size))
        verify(package, self._keys)
        await asyncio.to_thread(self._store.put, package)
        log.info("received %s, signed by %s", package.label, package.signature and package.signature.key)
        return package

    def begin(self, config: PipelineConfig) -> tuple[PipelineConfig, str]:
        """What a pipeline runs when the daemon starts, and what a person should know of that ("" mostly).

        Counts the start where a model is on trial, and rolls back one that crashed the daemon too often.
        """
        try:
            installed = self._store.installed(config.name)
            if installed.stage == "probation":
                installed = dataclasses.replace(installed, boots=installed.boots + 1)
                if installed.boots > BOOTS:
                    refused, installed = installed.current, installed.rolled_back()
                    self._store.install(config.name, installed)
                    said = f"the daemon ended {BOOTS} times with {str(refused)[:12]} on trial"
                    return self._config(config, installed), f"{said}; back to {_named(installed)}"
                self._store.install(config.name, installed)
            return self._config(config, installed), ""
        except (NrtError, OSError) as error:
            return config, f"{error}; the configuration's network runs"

    def watch(self, pipeline: Target) -> None:
        """Goes on with the trial of what `begin` gave, where there is one."""
        installed = self._store.installed(pipeline.name)
        if installed.stage == "probation" and installed.current is not None:
            self._try(pipeline, self._store.get(installed.current), installed)

    async def deploy(self, pipeline: Target, address: str, *, force: bool = False) -> dict[str, Json]:
        """Checks a package that is kept here and switches to it; the trial goes on after this returns.

        address: or `CONFIGURED`, for the network of the configuration, which needs no trial
        force: also an older version than has passed, and one that was rolled back from
        Raises NotFound, BadPackage, ConfigError and what the device has against it; then what ran goes on.
        """
        if address == CONFIGURED:
            return await self._configured(pipeline)
        package = await asyncio.to_thread(self._store.get, address)
        verify(package, self._keys)
        before = self._store.installed(pipeline.name)
        self._require_newer(package, before, force)
        network = await asyncio.to_thread(network_of, package)
        outcome = await check(package, network)
        file = await asyncio.to_thread(self._unpack, package)
        await asyncio.to_thread(self._store.install, pipeline.name, before.on_trial(address))
        try:
            placement = await pipeline.deploy(file, package.manifest.reading)
        except BaseException:
            self._store.install(pipeline.name, before)
            raise
        log.info("switched to %s", package.label, extra={"pipeline": pipeline.name})
        self._try(pipeline, package, before.on_trial(address))
        return {
            "package": package.label,
            "address": address,
            "golden": outcome.agreement,
            "trial": readable(self.settings.trial),
            "placement": str(placement),
        }

    def state(self, pipeline: str) -> dict[str, Json]:
        """What a pipeline runs, for people and programs."""
        installed = self._store.installed(pipeline)
        return {
            "current": installed.current,
            "previous": installed.previous,
            "stage": installed.stage,
            "highest": installed.highest,
            "refused": list(installed.refused),
        }

    def addresses(self) -> list[str]:
        """The packages that are kept, the newest last."""
        return self._store.addresses()

    async def close(self) -> None:
        """Ends the trials' tasks; the trials go on when the daemon starts again."""
        tasks = list(self._trials.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # steps

    async def _configured(self, pipeline: Target) -> dict[str, Json]:
        """Back to the network of the configuration."""
        if (trial := self._trials.pop(pipeline.name, None)) is not None:
            trial.cancel()
        config = pipeline.declared
        placement = await pipeline.deploy(config.network, config.reading)
        highest = self._store.installed(pipeline.name).highest
        await asyncio.to_thread(self._store.install, pipeline.name, Installed(highest=highest))
        return {"package": None, "network": str(config.network), "placement": str(placement)}

    def _require_newer(self, package: Package, before: Installed, force: bool) -> None:
        if before.stage == "probation":
            raise ConfigError("a model is on trial here; deploy again when it has passed or was rolled back")
        if package.address == before.current:
            raise ConfigError(f"{package.label} runs already")
        if force:
            return
        version = package.manifest.version
        if version < before.highest:
            raise BadPackage(package.label, f"version {before.highest} has passed here; force an older one")
        if package.address in before.refused:
            raise BadPackage(package.label, "it was rolled back from before; force it to try again")

    def _unpack(self, package: Package) -> Path:
        """The network's own file, beside its package."""
        file = self._folder / f"{package.address}{package.manifest.suffix}"
        if not file.exists() or file.read_bytes() != package.members[NETWORK]:
            replace(file, package.members[NETWORK])
        return file

    def _config(self, declared: PipelineConfig, installed: Installed) -> PipelineConfig:
        if installed.current is None:
            return declared
        package = self._store.get(installed.current)
        verify(package, self._keys)
        return dataclasses.replace(declared, network=self._unpack(package), reading=package.manifest.reading)

    def _try(self, pipeline: Target, package: Package, installed: Installed) -> None:
        if (old := self._trials.pop(pipeline.name, None)) is not None:
            old.cancel()
        trial = self._trial(pipeline, package, installed, Health(pipeline.stats()))
        self._trials[pipeline.name] = asyncio.create_task(trial, name=f"nrt.trial {pipeline.name}")

    async def _trial(self, pipeline: Target, package: Package, installed: Installed, health: Health) -> None:
        """Until the model has run well for long enough, or has not."""
        end = self._listen(lambda notice: health.hear(notice) if notice.pipeline == pipeline.name else None)
        ran, looked = 0, now()
        try:
            judged = False
            while ran < self.settings.trial * 1_000 or not judged:
                await asyncio.sleep(_LOOK)
                stats = pipeline.stats()
                if reason := health.verdict(stats):
                    await self._roll_back(pipeline, package, installed, reason)
                    return
                judged = health.judged(stats)
                ran += now() - looked if pipeline.state is State.running else 0
                looked = now()
        finally:
            end()
        passed = installed.passed(package.manifest.version)
        await asyncio.to_thread(self._store.install, pipeline.name, passed)
        log.info("%s has passed its trial", package.label, extra={"pipeline": pipeline.name})

    async def _roll_back(self, pipeline: Target, package: Package, installed: Installed, reason: str) -> None:
        back = installed.rolled_back()
        await asyncio.to_thread(self._store.install, pipeline.name, back)
        config = self._config(pipeline.declared, back)
        pipeline.alarm("rollback", f"{package.label} on {pipeline.name}: {reason}; back to {_named(back)}")
        await pipeline.run_with(config.network, config.reading, "rolled back")


def _named(installed: Installed) -> str:
    return f"package {installed.current[:12]}" if installed.current else "the configuration's network"
