"""The golden run of a package: made once where the model is packed, repeated wherever it is to run.

A golden run is short: some hundred ms of a recording, and what the network's outputs do in it. Repeating it on the
same device URI (by default `reference:`) shows that the file arrived whole, that this nrt reads it as the other did,
and that what computes it here computes the same.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import nrt
from nrt import registry
from nrt.compare.recorded import Recorded, Replay
from nrt.daemon.models.manifest import NETWORK, Golden
from nrt.daemon.models.package import Package, pack
from nrt.errors import BadPackage, ConfigError
from nrt.network import Network
from nrt.packet import MEMBRANE, SPIKE, Packet, Records, join
from nrt.reading import Reading

_SIMULATED: Final = ("", "emu", "sim")
_SPAN: Final = 10_000
"""µs of a packet of a golden run."""
_NEAR: Final = 1e-3
"""How far membranes of a readout may lie apart, relative to the largest one: they are kept as float32."""


def recorded(events: Records, shape: tuple[int, int, int], start: int, end: int) -> Recorded:
    """A golden run's input: events of [start, end) in packets of 10 ms."""
    packets: list[Packet] = []
    for begin in range(start, end, _SPAN):
        stop = min(begin + _SPAN, end)
        low, high = np.searchsorted(events["t"], [begin, stop])
        packets.append(Packet(events[low:high], begin, stop, 0))
    return Recorded("golden:", tuple(packets), shape, {"uri": "golden:"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a golden run went here. agreement: the share of spikes that came out the same; spikes: of the golden run."""

    agreement: float
    spikes: int


async def make(
    file: Path,
    reading: Reading,
    source: str | Path | Recorded,
    *,
    name: str,
    version: int,
    span: int = 300_000,
    device: str = "reference:",
    agreement: float = 1.0,
) -> Package:
    """A package of the network in `file`, with the first `span` µs of `source` as its golden run; not signed.

    Raises ConfigError where the source brings no events or the outputs stay silent, which would prove nothing.
    """
    network = reading.load(file)
    given = source if isinstance(source, Recorded) else await Recorded.take(registry.source(source), span)
    if given.shape is None or not given.events:
        raise ConfigError(f"{given.uri}: a golden run needs events from a sensor of known size")
    outputs = await _run(network, given, device)
    if not any(map(len, outputs.values())):
        raise ConfigError(f"{file}: no output fires in the first {span} µs; a golden run needs spikes")
    golden = Golden(device, given.shape, given.start, given.end, tuple(outputs), agreement)
    return pack(
        _bytes(file),
        name=name,
        version=version,
        suffix=file.suffix,
        digest=network.hash,
        reading=reading,
        golden=golden,
        events=join([packet.data for packet in given.packets]).tobytes(),
        outputs=[records.tobytes() for records in outputs.values()],
    )


def _bytes(file: Path) -> bytes:
    return file.read_bytes()


def network_of(package: Package) -> Network:
    """The network in a package, whose signature was verified before. Raises BadPackage."""
    with tempfile.TemporaryDirectory(prefix="nrt-model-") as folder:
        file = Path(folder) / f"network{package.manifest.suffix}"
        file.write_bytes(package.members[NETWORK])
        try:
            network = package.manifest.reading.load(file)
        except nrt.NrtError as error:
            raise BadPackage(package.label, f"its network cannot be read: {error}") from error
    if network.hash != package.manifest.network:
        raise BadPackage(package.label, "this nrt reads another network from it than its maker did")
    return network


async def check(package: Package, network: Network) -> Outcome:
    """Repeats the golden run. Raises BadPackage where less comes out the same than the manifest asks for."""
    golden = package.manifest.golden
    if registry.Uri.parse(golden.device).wire not in _SIMULATED:
        raise BadPackage(
            package.label, f"its golden run asks for {golden.device}; only simulated devices may"
        )
    given = recorded(package.events, golden.shape, golden.start, golden.end)
    try:
        outputs = await _run(network, given, golden.device)
    except nrt.NrtError as error:
        raise BadPackage(package.label, f"its golden run fails on {golden.device}: {error}") from error
    expected = package.outputs
    shares = [_agreement(expected[name], outputs.get(name, _NOTHING)) for name in golden.outputs]
    outcome = Outcome(min(shares), sum(map(len, expected.values())))
    if outcome.agreement < golden.agreement:
        raise BadPackage(
            package.label,
            f"its golden run on {golden.device} gives {outcome.agreement:.2%} of the spikes that it promises, "
            f"and {golden.agreement:.2%} are asked for",
        )
    return outcome


_WORDS: Final = np.dtype([("t", "<u8"), ("rest", "<u8")])
_NOTHING: Final[Records] = np.empty(0, SPIKE)


async def _run(network: Network, given: Recorded, device: str) -> dict[str, Records]:
    """What the network's outputs do, by population."""
    parts: dict[str, list[Records]] = {name: [] for name in network.outputs}
    async with nrt.open(device) as session:
        await session.deploy(network)
        async with session.stream(Replay(given)) as run:
            async for packet in run:
                if len(packet) and packet.origin in parts:
                    parts[packet.origin].append(packet.data.copy())
    return {name: join(some) if some else _NOTHING for name, some in parts.items()}


def _agreement(expected: Records, got: Records) -> float:
    """The share that is the same of two populations' output, as 2 · common / (both); 1 for two silent ones."""
    if got.dtype == MEMBRANE and len(got) == len(expected):
        wanted = expected.view(MEMBRANE)
        near = np.abs(wanted["v"] - got["v"]) <= _NEAR * max(float(np.abs(wanted["v"]).max()), 1e-12)
        return float(np.mean(near & (wanted["t"] == got["t"]) & (wanted["n"] == got["n"])))
    both = len(expected) + len(got)
    if not both:
        return 1.0
    return 2 * _common(expected, got) / both


def _common(a: Records, b: Records) -> int:
    """Records that stand in both, each as often as in the one that has fewer of it."""
    one, ones = np.unique(a.view(_WORDS), return_counts=True)
    other, others = np.unique(b.view(_WORDS), return_counts=True)
    _, left, right = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return int(np.minimum(ones[left], others[right]).sum())
