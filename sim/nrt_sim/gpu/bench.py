"""What a time step costs on the GPU simulator, beside SpikingJelly and snnTorch on the same nets in the same run.

Nets (a) and (b) of `nrt_sim.bench`. Repetitions alternate between nrt and each peer, which runs in a process of its own
with the same number of threads; the ratio is the median of the repetitions' own ratios, above 1 where nrt is faster.
nrt takes event records and puts out spike records; the peers are handed their input as dense planes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

import nrt
from nrt import registry
from nrt.errors import ConfigError, NotFound
from nrt.network.operators import Conv, Dense
from nrt.packet import SPIKE
from nrt.profile import Energy
from nrt.profile.meters import Meter
from nrt.profile.meters import measure as measure_energy
from nrt_sim.bench import DT, Case, cases, one_core
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu.bench_peers import LIBRARIES
from nrt_sim.gpu.device import GpuDevice
from nrt_sim.gpu.memory import least_bytes
from nrt_sim.gpu.simulation import Simulation
from nrt_sim.yardstick import Yardstick

STEPS: Final = 50
"""Steps of net (a) that are run; of net (b), all 100."""
BATCH_RATE: Final = 2000
"""The rate at which net (a) runs as a batch, in events per ms."""
_LIMIT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """Another project's simulator on the same net. milliseconds: per step · ratio: its time to nrt's"""

    name: str
    milliseconds: float
    ratio: float
    equal: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One net at one rate and batch; figures per step of the whole batch.

    milliseconds: median · launches: operators or kernels · moved, least: bytes moved, and what must be at least
    synops: per step · equal: whether the outputs' spike counts are those of `cpu:`
    energy: of a step, one figure per channel of each meter; none without a meter
    """

    net: str
    rate: float
    batch: int
    milliseconds: float
    launches: float
    moved: float
    least: float
    synops: float
    equal: bool
    ways: Mapping[str, str]
    peers: Sequence[Peer] = field(default_factory=tuple[Peer, ...])
    energy: Sequence[Energy] = ()

    @property
    def giga_synops(self) -> float:
        """Synaptic operations, 10^9 per second."""
        return self.synops / self.milliseconds / 1e6


class _Peer:
    """A peer's simulator in its own process, asked for one run at a time."""

    def __init__(self, python: str, library: str, threads: int) -> None:
        self.library = library
        script = Path(__file__).with_name("bench_peers.py")
        try:
            self._process = subprocess.Popen(
                [python, str(script), library, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise NotFound(python, f"{python} cannot be started: {error.strerror}") from error
        answer = self._answer()
        self.reason = str(answer.get("error", ""))
        self.name = f"{library} {answer.get('version', '')}".strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(self, net: str, path: Path, batch: int) -> tuple[float, list[int]]:
        """Seconds, and the outputs' spike counts."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"net": net, "path": str(path), "batch": batch}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise ConfigError(f"{self.name} failed on net ({net}): {answer['error']}")
        return float(answer["seconds"]), [int(count) for count in answer["counts"]]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError(f"{self.library} ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(
    device: str,
    batch: int,
    peers: str | None,
    against: Path | None = None,
    repeat: int = 7,
    nets: Sequence[Case] = (),
    meters: Sequence[str] = (),
) -> tuple[list[Row], list[str]]:
    """The rows, and a note for each peer that could not run. Raises ConfigError for a device that is no GPU simulator.

    peers: a Python that has SpikingJelly or snnTorch · against: folder of yardsticks, whose nets are used
    nets: others than (a) and (b), of the same forms · meters: URIs of meters that measure nrt's energy
    """
    with ExitStack() as stack:
        yardstick = None if against is None else stack.enter_context(Yardstick.built(against, None))
        nets = nets or list(cases(yardstick))
        stack.enter_context(one_core())
        return asyncio.run(
            _measure(device, batch, peers, nets, repeat, [registry.meter(each) for each in meters])
        )


async def _measure(
    uri: str, batch: int, python: str | None, nets: Sequence[Case], repeat: int, meters: Sequence[Meter]
) -> tuple[list[Row], list[str]]:
    async with nrt.open(uri) as session:
        device = session.device
        if not isinstance(device, GpuDevice):
            raise ConfigError(f"{uri} is no GPU simulator; this bench takes torch:cpu or cuda:0")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nrt-bench-")))
            names = LIBRARIES if python else ()
            asked = [stack.enter_context(_Peer(python or "", name, device.threads)) for name in names]
            notes = [f"{peer.library} did not run: {peer.reason}" for peer in asked if peer.reason]
            running = [peer for peer in asked if not peer.reason]
            rows = [
                await _row(device, case, size, running, folder, repeat, meters)
                for case in map(_shortened, nets)
                for size in ((1, batch) if case.net == "b" or case.rate == BATCH_RATE else (1,))
            ]
            return rows, notes


def _shortened(case: Case) -> Case:
    steps = min(case.steps, STEPS) if case.net == "a" else case.steps
    return Case(case.net, case.rate, case.network, case.records[: int(case.bounds[steps])], steps)


async def _row(
    device: GpuDevice,
    case: Case,
    batch: int,
    peers: Sequence[_Peer],
    folder: Path,
    repeat: int,
    meters: Sequence[Meter],
) -> Row:
    simulation = device.simulate(case.network, case.network.outputs, batch)
    path = _written(case, folder) if peers else folder
    ours: list[float] = []
    theirs: dict[str, list[float]] = {peer.name: [] for peer in peers}
    counts: NDArray[np.int64] = np.zeros(0, np.int64)
    seen: dict[str, list[int]] = {}
    for k in range(repeat + 1):  # the first warms up
        seconds, counts = _run(simulation, case, batch)
        ours.append(seconds)
        for peer in peers:
            seconds, seen[peer.name] = peer.run(case.net, path, batch)
            theirs[peer.name].append(seconds)
        if k == 0:
            ours.clear()
            for times in theirs.values():
                times.clear()
    launches, moved = device.traffic(simulation, lambda: _run(simulation, case, batch))
    scale = 1e3 / case.steps
    row = Row(
        case.net,
        case.rate,
        batch,
        median(ours) * scale,
        launches / case.steps,
        moved / case.steps,
        least_bytes(
            simulation.layout,
            batch,
            batch * len(case.records) / case.steps,
            batch * counts.sum() / case.steps,
        ),
        sum(sum(simulation.counters(k).synops.values()) for k in range(batch)) / case.steps,
        bool(np.array_equal(counts, _on_cpu(case))),
        simulation.ways,
        tuple(
            Peer(
                name,
                median(times) * scale,
                median(b / a for a, b in zip(ours, times, strict=True)),
                seen[name] == counts.tolist(),
            )
            for name, times in theirs.items()
        ),
        await _energy(meters, simulation, case, batch),
    )
    simulation.close()
    return row


async def _energy(
    meters: Sequence[Meter], simulation: Simulation, case: Case, batch: int
) -> tuple[Energy, ...]:
    """Of one step of the whole batch."""

    async def work() -> None:
        _run(simulation, case, batch)

    found = await measure_energy(meters, work) if meters else ()
    return tuple(figure.each(case.steps) for figure in found)


def _run(simulation: Simulation, case: Case, batch: int) -> tuple[float, NDArray[np.int64]]:
    """Seconds from rest for all steps, and how often each output of the first recording fired."""
    output = case.network.outputs[0]
    simulation.reset()
    begin = perf_counter()
    made = simulation.run([case.records] * batch, [0] * batch, case.steps)
    seconds = perf_counter() - begin
    return seconds, np.bincount(made[0][output]["n"], minlength=case.network[output].size)


def _on_cpu(case: Case) -> NDArray[np.int64]:
    output = case.network.outputs[0]
    spikes = CpuEngine(case.network, case.network.outputs).run(case.records, 0, case.steps)[output]
    return np.bincount(spikes["n"], minlength=case.network[output].size)


def _written(case: Case, folder: Path) -> Path:
    """The net's weights and its input as dense planes, for the peers."""
    path = folder / f"{case.net}{case.rate:.0f}.npz"
    if path.exists():
        return path
    inputs = case.network[case.network.inputs[0]]
    if case.records.dtype == SPIKE:
        index = case.records["n"].astype(np.int64)
    else:
        index = case.network.encoding.index(case.records, inputs.shape)
    frames = np.zeros((case.steps, inputs.size), np.float32)
    np.add.at(frames, (case.records["t"] // DT, index), 1)
    arrays: dict[str, Any] = {"frames": frames.reshape(case.steps, *inputs.shape), **_weights(case)}
    np.savez(path, **arrays)
    return path


def _weights(case: Case) -> dict[str, NDArray[np.float32]]:
    """w1, w2, … in the order of layers; r1, r2, … of the loops."""
    found: dict[str, NDArray[np.float32]] = {}
    for letter, loop in (("w", False), ("r", True)):
        of_kind = [p for p in case.network.projections if (p.source == p.target) == loop]
        order = {p.name: k for k, p in enumerate(case.network.populations)}
        for k, projection in enumerate(sorted(of_kind, key=lambda p: order[p.target])):
            weights = [o.weight for o in projection.operators if isinstance(o, Conv | Dense)]
            found[f"{letter}{k + 1}"] = weights[0].astype(np.float32)
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    lines = ["net   rate  batch  ms/step  launches/step  MB moved  least MB  GSynop/s  as cpu:  peers"]
    for r in rows:
        peers = ", ".join(
            f"{p.name} {p.milliseconds:.3f} ms ({p.ratio:.2f} x{'' if p.equal else ', OTHER COUNTS'})"
            for p in r.peers
        )
        lines.append(
            f"{r.net:3} {r.rate:6.0f}  {r.batch:5}  {r.milliseconds:7.3f}  {r.launches:13.1f}  {r.moved / 1e6:8.2f}"
            f"  {r.least / 1e6:8.2f}  {r.giga_synops:8.3f}  {'yes' if r.equal else 'NO':>7}  {peers or '-'}"
        )
    for r in rows:
        for figure in r.energy:
            lines.append(f"net {r.net}, {r.rate:.0f}, batch {r.batch}, each step: {figure}")
    return "\n".join(lines)
