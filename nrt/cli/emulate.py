"""`nrt emulate`: serves an emulated board to drivers in other processes, or replays recordings of the chip on it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json as json_module
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from nrt import registry
from nrt.cli.interrupt import interruptible
from nrt.clock import microseconds
from nrt.errors import BadRecording, ConfigError, NotFound, NrtError, Unsupported
from nrt.registry import Uri
from nrt.wire import board


@runtime_checkable
class Replays(Protocol):
    """A Device whose driver can replay recordings of its chip."""

    async def replay(self, path: Path) -> str:
        """Plays the recording at `path` through driver, wire and board; "" if equal, or the first difference.

        Raises BadRecording, DeviceError.
        """
        ...


@runtime_checkable
class Counts(Protocol):
    """A board that counts what happened to it."""

    def counters(self) -> Mapping[str, int]:
        """By name; zeros may be among them."""
        ...


@dataclass(frozen=True, slots=True)
class Choices:
    """Which board, as whom it poses, and where it is served.

    tcp:  port, or host:port; None for a pseudo-terminal
    link: a path that points to the terminal
    baud: bits per second each way; 0 for as fast as the transport goes
    """

    name: str
    options: Mapping[str, str]
    tcp: str | None = None
    link: Path | None = None
    baud: int = 0

    @property
    def uri(self) -> Uri:
        """The board in this process. Raises NotFound, ConfigError for options that it does not have."""
        known = registry.option_names(registry.board(self.name))
        for name in self.options:
            if name not in known:
                raise ConfigError(
                    f"{self.name}: the emulated board has no option '{name}'; there is {', '.join(known)}"
                )
        return Uri(self.name, "emu", options=self.options)


def board_options(sets: Sequence[str], offset: str | None, skew_ppm: float | None) -> dict[str, str]:
    """The board's options from `name=value` texts and the two about its clock. Raises ConfigError."""
    options: dict[str, str] = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ConfigError(f"--set {text}: write name=value")
        options[name] = value
    if offset is not None:
        options["offset"] = str(microseconds(offset))
    if skew_ppm is not None:
        options["skew_ppm"] = repr(skew_ppm)
    return options


def serve(choices: Choices, *, json: bool) -> None:
    """Prints the address that a driver opens and serves until Ctrl-C or SIGTERM; then prints what was counted."""
    server = _server(choices)
    address = choices.name + server.address
    print(json_module.dumps({"address": address}) if json else address, flush=True)
    print("Ctrl-C ends it", file=sys.stderr)
    with interruptible(server.stop):
        server.run()
    counts = {**server.counters(), **_own_counters(server.board)}
    print(json_module.dumps(counts) if json else "\n".join(f"{name}: {n:,}" for name, n in counts.items()))


def _own_counters(emulated: object) -> dict[str, int]:
    if not isinstance(emulated, Counts):
        return {}
    return {f"board: {name}": count for name, count in emulated.counters().items() if count}


def _server(choices: Choices) -> Any:
    """The board at its door; the package that serves is not of this one, so found by name."""
    package = importlib.import_module("nrt_sim.serve")
    made = board(choices.uri)
    if choices.tcp is None:
        door = package.PtyDoor(choices.link)
    else:
        host, _, port = choices.tcp.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"--tcp {choices.tcp}: write PORT or HOST:PORT")
        door = package.TcpDoor(int(port), host.strip("[]") or "127.0.0.1")
    return package.Server(made, door, baud=choices.baud)


def check(choices: Choices, files: Sequence[Path], *, served: bool, json: bool) -> bool:
    """Replays each file through driver, wire and board; prints equal or the first difference. True if all are equal.

    served: through the terminal or port that `choices` names, not within this process
    """
    if not files:
        raise ConfigError("--check: name the recordings to replay")
    results: dict[str, str] = {}
    with _served(choices) if served else contextlib.nullcontext(str(choices.uri)) as uri:
        for path in files:
            results[str(path)] = asyncio.run(_replayed(uri, path))
            if not json:
                print(f"{path}: {results[str(path)] or 'equal'}", flush=True)
    if json:
        print(json_module.dumps({path: found or "equal" for path, found in results.items()}, indent=2))
    return not any(results.values())


@contextlib.contextmanager
def _served(choices: Choices) -> Generator[str]:
    server = _server(choices)
    with server:
        yield choices.name + server.address


async def _replayed(uri: str, path: Path) -> str:
    """The first difference, or "". A file that cannot be replayed is a difference too, so that the others go on."""
    device = registry.device(uri)
    if not isinstance(device, Replays):
        raise Unsupported(device.uri, "its driver replays no recordings")
    try:
        await device.open()
        return await device.replay(path)
    except NotFound:
        raise
    except BadRecording as error:
        return error.reason
    except NrtError as error:
        return str(error)
    finally:
        await device.close()
