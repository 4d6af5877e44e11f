"""Node: the pipelines and services of one machine, and the one place where commands are carried out."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from nrt.clock import now
from nrt.daemon import config as configuration
from nrt.daemon.backoff import Backoff
from nrt.daemon.command import LOOKING, Command, Replies, Reply
from nrt.daemon.config import Config, PipelineConfig
from nrt.daemon.deployment import deploy
from nrt.daemon.lock import Lock
from nrt.daemon.logs import Recent
from nrt.daemon.notice import Alarm, AlarmKind, Ids, Json, Notice
from nrt.daemon.pipeline import Pipeline
from nrt.daemon.reports import Reports
from nrt.daemon.service import Service
from nrt.daemon.table import Secret
from nrt.errors import ConfigError, NotFound, NrtError
from nrt.report import host, versions

if TYPE_CHECKING:
    from nrt.daemon.models.updates import Updates

log = logging.getLogger("nrt.daemon")

STOP: Final = 3.5
"""Seconds in which the pipelines stop; one that is being deployed to may need more, and is left alone."""
FAREWELL: Final = 0.4
"""Seconds in which services may send what was promised, all at once, after the pipelines ended."""
CLOSE: Final = 0.6
"""Seconds in which a service closes then. All three together leave some of the five that a daemon may take to end."""


class Node:
    """Make it, `run` it, and `stop` it from elsewhere; `reload` takes another configuration."""

    def __init__(self, config: Config, recent: Recent | None = None) -> None:
        """recent: the log that is kept. Raises ConfigError where a service must not start so."""
        self.name = config.node.name
        self.config = config
        self.log = recent or Recent()
        self.started = now()
        self._ids = Ids(self.name)
        self.boot = self._ids.boot
        self.folder = config.node.folder
        """The data folder."""
        self._reports = Reports(self.folder / "reports", config.node.reports)
        self._listeners: list[Callable[[Notice], None]] = []
        self._replies = Replies()
        self._pipelines: dict[str, Pipeline] = {}
        self._services: dict[str, tuple[Service, asyncio.Task[None] | None]] = {}
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._turn = asyncio.Lock()
        self.up = asyncio.Event()
        """Set when every pipeline has been told to start."""
        self.alarms = 0
        self.models: Updates | None = None
        """Where the configuration has [models]."""

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """By name."""
        return MappingProxyType(self._pipelines)

    @property
    def services(self) -> Mapping[str, Service]:
        """By the name of their table."""
        return {name: service for name, (service, _) in self._services.items()}

    def listen(self, take: Callable[[Notice], None]) -> Callable[[], None]:
        """Has `take` called with every notice, in order, on the loop; it must be quick. Returns what ends that."""
        self._listeners.append(take)

        def end() -> None:
            if take in self._listeners:
                self._listeners.remove(take)

        return end

    def tell(self, notice: Notice) -> None:
        """Hands a notice to everybody who listens; one who fails is told of in the log, the others are told on."""
        for take in tuple(self._listeners):
            try:
                take(notice)
            except Exception:
                log.exception("whoever listens failed at %s", notice.id)

    def alarm(self, kind: AlarmKind, text: str) -> None:
        """Tells of something that concerns the whole node."""
        self.alarms += 1
        log.warning("%s: %s", kind, text)
        id, time = self._ids.next("", "alarm")
        self.tell(Alarm(id, time, "", kind, text))

    async def run(self) -> None:
        """Runs until `stop`. Raises ConfigError where another daemon uses the data folder, or it cannot be made."""
        with Lock(self.folder):
            for name in configuration.SERVICES:
                if name in self.config.tables:
                    self._add_service(name, self.config.tables[name])
            try:
                settings = self.config.tables.get("models")
                if settings is not None:
                    from nrt.daemon.models.updates import Updates  # needs the package cryptography

                    self.models = Updates(cast(Any, settings), self.folder / "models", self.listen)
                for config in self.config.pipelines:
                    await self._add(config)
                self.up.set()
                await self._stopping.wait()
            finally:
                await self._end_all()
                self._ended.set()

    def end(self) -> None:
        """Has `run` end: the pipelines first, then the services."""
        self._stopping.set()

    async def stop(self) -> None:
        """Has `run` end, and waits until it has."""
        self.end()
        await self._ended.wait()

    async def reload(self, config: Config) -> None:
        """Changes what differs and nothing else. Raises ConfigError for what needs a restart of the daemon."""
        if (config.node, config.log) != (self.config.node, self.config.log):
            raise ConfigError("[node] and [log] change only when the daemon is restarted")
        if config.tables.get("models") != self.config.tables.get("models"):
            raise ConfigError("[models] changes only when the daemon is restarted")
        async with self._turn:
            fresh = {each.name: each for each in config.pipelines}
            for name in [
                name for name in self._pipelines if fresh.get(name) != self._pipelines[name].declared
            ]:
                await self._pipelines.pop(name).stop()
            for name in configuration.SERVICES:
                if config.tables.get(name) != self.config.tables.get(name):
                    await self._end_services([name] if name in self._services else [])
                    if name in config.tables:
                        self._add_service(name, config.tables[name])
            self.config = config
            for each in config.pipelines:
                if each.name not in self._pipelines:
                    await self._add(each)
            self._pipelines = {each.name: self._pipelines[each.name] for each in config.pipelines}

    async def command(self, request: Command) -> Reply:
        """Carries out one command, once for its id; whoever sent it gets a reply in any case.

        What only looks is not remembered: it may be done twice, and a thousand reports would be half a gigabyte.
        """
        if request.verb in LOOKING:
            return await self._reply(request)
        return await self._replies.once(request.id, lambda: self._reply(request))

    # commands

    async def _reply(self, request: Command) -> Reply:
        try:
            result = await self._carry_out(request)
        except NrtError as error:
            log.info("%s refused: %s", request.verb, error, extra={"pipeline": request.pipeline})
            return Reply(request.id, False, error=str(error))
        except Exception as error:
            log.exception("%s failed", request.verb, extra={"pipeline": request.pipeline})
            return Reply(request.id, False, error=f"{type(error).__name__}: {error}")
        return Reply(request.id, True, result)

    async def _carry_out(self, request: Command) -> Json:
        if request.pipeline == "":
            if request.verb == "state":
                _nothing_else(request, ())
                return info(self)
            if request.verb not in ("start", "stop", "restart"):
                raise ConfigError(f"{request.verb} needs the name of a pipeline")
            chosen = list(self._pipelines.values())
        else:
            chosen = [self.pipeline(request.pipeline)]
        results = [await self._for_one(each, request) for each in chosen]
        return (
            results[0]
            if request.pipeline
            else {each.name: r for each, r in zip(chosen, results, strict=True)}
        )

    async def _for_one(self, pipeline: Pipeline, request: Command) -> Json:
        verb = request.verb
        if verb == "deploy":
            _nothing_else(request, ("path", "package", "data", "force"))
            return await deploy(pipeline, request.arguments, self.models, self.folder / "models")
        if verb == "set":
            await pipeline.set({name: _text(name, value) for name, value in request.arguments.items()})
            return pipeline.state.value
        if verb == "restart":
            _nothing_else(request, ("why",))
            await pipeline.restart(_text("why", request.arguments.get("why", "asked for")))
            return pipeline.state.value
        _nothing_else(request, ())
        if verb == "snapshot":
            return pipeline.snapshot()
        if verb == "report":
            result: Json = await asyncio.to_thread(pipeline.report().to_dict)
            return result
        if verb == "state":
            return {
                "state": pipeline.state.value,
                "reason": pipeline.reason,
                "stats": pipeline.stats().to_dict(),
            }
        actions: dict[Literal["start", "stop", "reset"], Callable[[], Awaitable[None]]] = {
            "start": pipeline.start, "stop": pipeline.stop, "reset": pipeline.reset
        }  # fmt: skip
        await actions[verb]()
        return pipeline.state.value

    def pipeline(self, name: str) -> Pipeline:
        """Raises NotFound."""
        if name not in self._pipelines:
            known = ", ".join(self._pipelines) or "none"
            raise NotFound(name, f"no pipeline '{name[:80]}'; there is {known}", list(self._pipelines))
        return self._pipelines[name]

    # life

    async def _add(self, config: PipelineConfig) -> None:
        pipeline = self._pipelines[config.name] = Pipeline(
            config, self._ids, self.tell, self._reports.keep, self.folder
        )
        said = ""
        if self.models is not None:
            started, said = self.models.begin(config)
            pipeline.take_over(started)
        if config.start:
            await pipeline.start()
        if said:
            pipeline.alarm("rollback", said)
        if self.models is not None:
            self.models.watch(pipeline)

    def _add_service(self, name: str, settings: object) -> None:
        for secret in _secrets(settings):
            self.log.hide(secret)
        service: Service = configuration.load_class(configuration.SERVICES[name])(settings)
        service.attach(self)
        task = asyncio.create_task(self._serve(name, service), name=f"nrt.service {name}")
        self._services[name] = (service, task)

    async def _serve(self, name: str, service: Service) -> None:
        """Runs a service, again and again when it fails."""
        backoff = Backoff()
        while True:
            began = now()
            try:
                await service.run(self)
                reason = "it ended"
            except ConfigError as error:
                self.alarm("service", f"{name} cannot run: {error}")
                return
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                log.debug("%s failed", name, exc_info=error)
            delay = backoff.next((now() - began) / 1e9)
            self.alarm("service", f"{name} failed: {reason}; again in {delay:.1f} s")
            await asyncio.sleep(delay)

    async def _end_services(self, names: Sequence[str]) -> None:
        """All say goodbye at once, then close at once, except those that the others may need."""
        ending = [(name, *self._services.pop(name)) for name in names]
        await asyncio.gather(*(_drain(name, service) for name, service, _ in ending))
        for last in (False, True):
            tasks = [task for _, service, task in ending if service.last is last and task is not None]
            for each in tasks:
                each.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE / 3 if last else CLOSE)

    async def _end_all(self) -> None:
        """Trials first, then the pipelines, all at once; then the services."""
        if self.models is not None:
            await self.models.close()
        stops = [asyncio.create_task(each.stop(), name="nrt.stop") for each in self._pipelines.values()]
        if stops:
            ended, late = await asyncio.wait(stops, timeout=STOP)
            for each in ended:
                each.result()
            if late:
                log.error("%d pipelines do not stop; they are left alone", len(late))
        await self._end_services(list(self._services))
        await asyncio.to_thread(self._reports.close)


async def _drain(name: str, service: Service) -> None:
    try:
        async with asyncio.timeout(FAREWELL):
            await service.drain()
    except Exception as error:
        log.debug("%s had more to send", name, exc_info=error)


def info(node: Node) -> dict[str, Json]:
    """What the node says of itself to everybody; no secrets."""
    pipelines: dict[str, Json] = {
        name: {
            "state": each.state.value,
            "source": bare(each.config.source),
            "filter": each.config.filter,
            "device": bare(each.config.device),
            "network": str(each.config.network),
            "network_hash": each.network.hash if each.network is not None else None,
            "decide_us": each.config.decide,
            "labels": list(each.config.labels),
            "shape": list(each.input_shape) if each.input_shape is not None else None,
            "outputs": {p: node_size(each, p) for p in each.network.outputs}
            if each.network is not None
            else {},
        }
        for name, each in node.pipelines.items()
    }
    return {
        "node": node.name,
        "boot": node.boot,
        "versions": dict(versions()),
        "host": dict(host()),
        "uptime_s": (now() - node.started) / 1e9,
        "pipelines": pipelines,
        "devices": {each.name: bare(each.device) for each in node.config.devices},
        "services": list(node.services),
    }


def node_size(pipeline: Pipeline, population: str) -> int:
    """Neurons of one of a pipeline's populations."""
    assert pipeline.network is not None
    return pipeline.network[population].size


def bare(uri: str) -> str:
    """A URI without the user and password that may stand in it."""
    return re.sub(r"//[^/@?]*@", "//", uri)


def _nothing_else(request: Command, known: tuple[str, ...]) -> None:
    for name in request.arguments:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"{request.verb} has no argument '{name[:80]}'; there is {there}")


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ConfigError(f"{name[:80]} must be a text")
    text = str(value)
    if len(text) > 1_000:
        raise ConfigError(f"{name[:80]} is too long")
    return text


def _secrets(settings: Any) -> list[Secret]:
    if not dataclasses.is_dataclass(settings):
        return []
    values = [getattr(settings, each.name) for each in dataclasses.fields(settings)]
    nested = [secret for value in values for secret in _secrets(value)]
    return [each for each in values if isinstance(each, Secret)] + nested
