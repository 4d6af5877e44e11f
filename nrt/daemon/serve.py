"""The daemon as a process: configuration, signals, log and watchdog around a `Node`.

SIGTERM and SIGINT end it in order within five seconds, a second one at once; SIGHUP reloads the configuration.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nrt import registry
from nrt.daemon.config import Config, load
from nrt.daemon.logs import Recent, setup
from nrt.daemon.node import Node
from nrt.daemon.notice import Notice, StateChange
from nrt.daemon.systemd import Notifier
from nrt.daemon.verdict import healthy
from nrt.device import Placement
from nrt.errors import ConfigError, NrtError, Unsupported
from nrt.version import __version__

log = logging.getLogger("nrt.daemon")

Extra = Mapping[str, Mapping[str, Any]]

BEAT: Final = 5.0
"""Seconds between two looks at the pipelines for the watchdog, where it does not ask for them more often."""


def serve(path: Path, extra: Extra | None = None) -> int:
    """Runs the daemon until a signal ends it; its exit code. Raises ConfigError for a configuration with mistakes."""
    config = load(path, extra)
    recent = Recent()
    undo = setup(config.log, recent)
    try:
        asyncio.run(_serve(config, extra or {}, recent))
    finally:
        undo()
    return 0


async def _serve(config: Config, extra: Extra, recent: Recent) -> None:
    node = Node(config, recent)
    notifier = Notifier()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def end() -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, os._exit, 130)
        log.info("ending")
        notifier.stopping()
        node.end()

    def again() -> None:
        task = loop.create_task(reload(node, extra, notifier), name="nrt.reload")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.set_exception_handler(_astray)
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, end)
    loop.add_signal_handler(signal.SIGHUP, again)
    log.info(
        "nrt %s: node %s, %d pipelines, data in %s",
        __version__,
        node.name,
        len(config.pipelines),
        node.folder,
    )
    beat = loop.create_task(_beat(node, notifier), name="nrt.beat")
    try:
        await node.run()
    finally:
        beat.cancel()
        notifier.close()
    log.info("ended")
    if _stragglers():
        _leave()


def _astray(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waits for has failed, such as a callback of a library on a connection that has just been lost."""
    error = context.get("exception")
    log.warning("%s: %s", context.get("message"), error)
    log.debug("from where it came", exc_info=error)


async def reload(node: Node, extra: Extra, notifier: Notifier) -> None:
    """Reads the configuration again. One with a mistake changes nothing, and says so."""
    notifier.reloading()
    try:
        fresh = await asyncio.to_thread(load, node.config.path, extra)
        await node.reload(fresh)
        log.info("reloaded %s", node.config.path)
    except NrtError as error:
        for line in str(error).splitlines():
            log.error("%s", line)
        node.alarm("config", f"nothing was reloaded: {error}")
    finally:
        notifier.ready()


async def _beat(node: Node, notifier: Notifier) -> None:
    """READY once, then the status as it changes, and food for the watchdog while every pipeline lives."""
    changed = asyncio.Event()

    def hear(notice: Notice) -> None:
        if isinstance(notice, StateChange):
            changed.set()

    node.listen(hear)
    await node.up.wait()
    notifier.ready()
    period = min(BEAT, notifier.interval / 3) if notifier.interval else BEAT
    while True:
        states = ", ".join(f"{name} {each.state}" for name, each in node.pipelines.items())
        notifier.status(states)
        well, _ = healthy(node)
        if well:
            notifier.alive()
        else:
            log.error("a pipeline is not supervised any more; the watchdog is not fed")
        changed.clear()
        try:
            await asyncio.wait_for(changed.wait(), period)
        except TimeoutError:
            continue


def _stragglers() -> list[str]:
    """Threads that go on and would keep the process: those of a device that hangs, of a kernel that compiles."""
    return [
        each.name
        for each in threading.enumerate()
        if each is not threading.current_thread() and not each.daemon
    ]


def _leave() -> None:
    """Ends the process although a thread hangs; everything that matters was written."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def check(config: Config) -> list[str]:
    """What a configuration would start, a line each; networks are placed where that needs no hardware.

    Raises ConfigError with every network that does not fit.
    """
    lines: list[str] = []
    wrong: list[str] = []
    for each in config.pipelines:
        network = each.load_network()
        lines.append(f"{each.name}: {each.source} → {network.name} on {each.device}")
        try:
            placement: Placement | None = await registry.device(each.device).plan(network, taps=each.taps)
        except Unsupported:
            placement = None
        except NrtError as error:
            wrong.append(f"{config.path}: pipeline '{each.name}': {error}")
            continue
        if placement is not None:
            lines += [f"  {line}" for line in str(placement).splitlines()]
    lines += [f"{each.name}: {each.device}, for sessions from elsewhere" for each in config.devices]
    lines += [f"[{name}]" for name in config.tables]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return lines
