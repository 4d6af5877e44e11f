"""`nrt demo`: a synthetic scene, live through a small network on every device there is."""

from __future__ import annotations

import asyncio
import importlib
import json as json_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

import nrt
from nrt import registry
from nrt.clock import readable
from nrt.network import Network
from nrt.report import Report
from nrt.source import Source

DEVICE: Final = "cpu:"
SCENE: Final = "synth:bar?seconds=3.84"
ARROWS: Final = "→←↓↑"
REFRESH: Final = 80_000
"""µs of stream between two looks at the terminal."""


def show_demo(json: bool) -> None:
    """Runs the demo and prints accuracy and report."""
    scene = importlib.import_module("nrt_sim.scene")
    network: Network = importlib.import_module("nrt_sim.motion").motion_network()
    source = registry.source(SCENE)
    truth: NDArray[np.int64] = vars(source)["truth"]
    console = Console()
    if not json:
        console.print(
            f"A bar moves {', '.join(scene.DIRECTIONS)} before a simulated sensor; {network.neurons:,} neurons on "
            f"{DEVICE} say which way.\nNothing is downloaded. The first run compiles for some seconds."
        )
    votes, report = asyncio.run(_watch(network, source, len(truth), scene.EPISODE, Console(stderr=json)))
    right = int(np.count_nonzero(_answers(votes) == truth))
    if json:
        result: dict[str, Any] = {
            "accuracy": right / len(truth),
            "episodes": len(truth),
            "report": report.to_dict(),
        }
        print(json_module.dumps(result, indent=2))
        return
    console.print(f"truth   {_arrows(truth)}\nanswer  {_arrows(_answers(votes))}")
    console.print(f"{right} of {len(truth)} crossings right (chance is {len(truth) // 4})\n")
    console.print(str(report), highlight=False)


async def _watch(
    network: Network, source: Source, episodes: int, length: int, console: Console
) -> tuple[NDArray[np.int64], Report]:
    """Output spikes per episode and direction, int64[episodes, 4], and the report."""
    votes = np.zeros((episodes, 4), np.int64)
    async with nrt.open(DEVICE) as session:
        await session.deploy(network)
        async with session.stream(source) as run:
            with Live(console=console, transient=True, refresh_per_second=12) as live:
                async for spikes in run:
                    np.add.at(votes, (spikes.data["t"] // length, spikes.data["n"]), spikes.data["v"])
                    if spikes.end % REFRESH == 0:
                        live.update(_line(votes, spikes.end // length, run.report))
    return votes, run.report


def _answers(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The direction with the most spikes per episode; -1 where there were none."""
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)


def _arrows(directions: NDArray[np.int64]) -> str:
    return " ".join(ARROWS[d] if d >= 0 else "·" for d in directions.tolist())


def _line(votes: NDArray[np.int64], episode: int, report: Report) -> Text:
    bars = "  ".join(
        f"{arrow} {'█' * min(int(n), 20):<20}"
        for arrow, n in zip(ARROWS, votes[min(episode, len(votes) - 1)], strict=True)
    )
    return Text(f"{bars}  {readable(report.stream_s * 1e6):>8}  p99 {report.latency.p99:.2f} ms")
