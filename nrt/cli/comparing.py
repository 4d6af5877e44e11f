"""What `nrt compare` does: reads, runs with progress on the terminal, prints, writes files."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from nrt import dataset
from nrt.cli.choices import Choices
from nrt.cli.interrupt import interruptible
from nrt.clock import microseconds, readable
from nrt.compare import Comparison, Options, Recording, compare
from nrt.compare import stored as stored_reports
from nrt.compare.ladder import Case, walk
from nrt.dataset import Sample
from nrt.errors import ConfigError, NrtError
from nrt.network import Network
from nrt.page import save


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be compared.

    sources: data set or recordings as the command names them
    ladder:  whether to find what makes the last device differ
    """

    network: Network
    sources: Sequence[str]
    samples: Sequence[Sample]
    devices: Sequence[str]
    ladder: bool


def read(
    path: str, dt: str | None, like: str | None, choose: Sequence[str] | None, encode: Sequence[str] | None
) -> Network:
    """The network, read as chosen."""
    return Choices.of(path, "", dt, like, choose, encode).load()


def samples(sources: Sequence[str] | None, data: str | None, limit: int | None) -> Sequence[Sample]:
    """The recordings of a data set, or of folders and URIs."""
    found = dataset.load(data) if data is not None else dataset.unlabelled(sources or ())
    return (found if limit is None else found.first(limit)).samples


def options(
    dt: int,
    *,
    q: float,
    tau: str,
    tolerance: str,
    reach: int,
    speed: float,
    length: str | None,
    jobs: int,
    membranes: bool,
) -> Options:
    """The options as the command line has them. dt: µs of a time step. Raises ConfigError."""
    within = microseconds(tolerance)
    if within % dt:
        raise ConfigError(f"--tolerance {tolerance}: it must be whole steps of {readable(dt)}")
    return Options(
        q=q,
        tau_us=microseconds(tau),
        tolerance=within // dt,
        reach=reach,
        speed=speed,
        limit_us=None if length is None else microseconds(length),
        jobs=jobs,
        membranes=membranes,
    )


def compare_devices(asked: Asked, options: Options, *, out: Path | None, json: bool) -> bool:
    """Runs it and delivers the result; whether every device and every recording ran."""
    result = dataclasses.replace(asyncio.run(_compare(asked, options)), sources=tuple(asked.sources))
    print(result.to_json() if json else result)
    if out is not None:
        save(result, out)
    if all(device.error for device in result.devices):
        raise NrtError("no device ran the network")
    return not result.failed


async def _compare(asked: Asked, options: Options) -> Comparison:
    """Ctrl-C ends it after the recordings under way; what they gave is kept."""
    stop = asyncio.Event()
    total = len(asked.samples)
    with Console(stderr=True).status(f"0 of {total} recordings") as status, interruptible(stop.set):

        def done(index: int, recording: Recording) -> None:
            status.update(f"{index + 1} of {total} recordings  {recording.name}  {recording.error}")

        result = await compare(asked.network, asked.samples, asked.devices, options, done=done, stop=stop)
        if asked.ladder and not stop.is_set():
            result = await _with_ladder(asked, result, status.update, stop)
    return result


async def _with_ladder(
    asked: Asked, result: Comparison, progress: Callable[[str], None], stop: asyncio.Event
) -> Comparison:
    """The result with the ladder of the last device that ran; a note where there is none. `stop` gives it up."""
    ran = [device.uri for device in result.devices if not device.error]
    good = [s for s, r in zip(asked.samples, result.recordings, strict=False) if not r.error]
    if not ran or not good:
        return _noted(result, "no ladder: nothing ran")
    cases = [Case(sample.name, sample.source, sample.label) for sample in good]
    walking = asyncio.create_task(
        walk(asked.network, ran[-1], cases, limit_us=result.options.limit_us, progress=progress)
    )
    given_up = asyncio.create_task(stop.wait())
    await asyncio.wait({walking, given_up}, return_when=asyncio.FIRST_COMPLETED)
    given_up.cancel()
    if not walking.done():
        walking.cancel()
        await asyncio.wait([walking])
        return _noted(result, "no ladder: stopped")
    try:
        return dataclasses.replace(result, ladder=await walking)
    except NrtError as error:
        return _noted(result, f"no ladder: {error}")


def _noted(result: Comparison, note: str) -> Comparison:
    return dataclasses.replace(result, notes=(*result.notes, note))


def compare_stored(files: Sequence[str], *, out: Path | None, json: bool) -> None:
    """Compares two reports of `nrt run`. Raises ConfigError where they are not of the same network and recording."""
    if len(files) != 2:
        raise ConfigError(f"{len(files)} files: compare two reports at a time")
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out {out}: two reports are written as .json only")
    pair = stored_reports.compare_stored(*(stored_reports.read_report(path) for path in files))
    text = json_module.dumps(pair.to_dict(), indent=2)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    print(text if json else pair)
