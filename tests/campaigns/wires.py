"""Thousands of injected wire faults between the host's bridge and the emulated board: nothing lost silently, no hang.

    python -m tests.campaigns.wires --faults 10000

Each trial opens a board behind a wire with one kind of fault, programs the chip so that every input event causes one
known spike, and streams events and marks. Then the books must balance, whatever happened:

* the trial ends in time: with everything done, or with DeviceLost or DeviceTimeout (while opening, ProtocolError
  where all that came was damaged);
* if it was done, every spike and mark came once and in order, and every word was delivered and executed;
* if the line died, what came is a beginning of what should have come; every word is delivered (the board has it) or
  counted undelivered; every spike of the chip was received, or the board counts it as flushed;
* and after the line died, the same board works again on a clean wire.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from nrt.bridge import Bridge, Service, Stream, events
from nrt.errors import DeviceLost, DeviceTimeout, ProtocolError
from nrt.wire import MemoryWire
from nrt.wire.faults import Faults
from nrt.wire.faulty import FaultyWire
from nrt_drivers.tinyodin import load
from nrt_drivers.tinyodin.chip import CHIP
from nrt_sim.chips.tinyodin.board import TinyOdinBoard

SOURCES: Final = 16
NEURONS: Final = 4
EVENTS: Final = 2000
EVERY: Final = 25  # events between two marks
PATIENCE: Final = 1_000_000_000
"""ns without progress at which a board counts as gone: shorter than a driver's, so that stalls cost less time."""
HANG: Final = 60.0  # s

Draw = Callable[[random.Random], Faults]

KINDS: Final[Mapping[str, Draw]] = {
    "one byte at a time": lambda r: Faults(piece=1, corrupt=r.choice([0.0, 3e-4]), seed=r.getrandbits(30)),
    "loss": lambda r: Faults(lose=10 ** r.uniform(-4.5, -3), seed=r.getrandbits(30)),
    "corruption": lambda r: Faults(corrupt=10 ** r.uniform(-4.5, -3), seed=r.getrandbits(30)),
    "repetition": lambda r: Faults(repeat=10 ** r.uniform(-4.5, -3), seed=r.getrandbits(30)),
    "delay": lambda r: Faults(
        delay=r.uniform(0.05, 0.3), hold=r.uniform(0.001, 0.03), seed=r.getrandbits(30)
    ),
    "all of it": lambda r: Faults(
        lose=2e-4,
        corrupt=2e-4,
        repeat=2e-4,
        delay=0.02,
        hold=0.002,
        piece=r.choice([0, 1, 7]),
        seed=r.getrandbits(30),
    ),
    "stall": lambda r: Faults(
        stall=r.randint(1, 24_000), corrupt=r.choice([0.0, 3e-4]), seed=r.getrandbits(30)
    ),
    "unplug": lambda r: Faults(
        unplug=r.randint(1, 24_000), lose=r.choice([0.0, 3e-4]), seed=r.getrandbits(30)
    ),
}
RATED: Final = ("lost", "corrupted", "repeated", "delayed")


@dataclass
class Outcome:
    """What became of one kind of fault over its trials."""

    trials: int = 0
    faults: int = 0
    done: int = 0
    died: int = 0
    wrong: list[str] = field(default_factory=list[str])


async def program(bridge: Bridge) -> None:
    """A spike of source k makes neuron k mod 4 fire, and nothing else; open loop."""
    await load.write_register(bridge, "SPI_GATE_ACTIVITY", 1)
    await load.write_register(bridge, "SPI_OPEN_LOOP", 1)
    await load.write_register(bridge, "SPI_AER_SRC_CTRL_nNEUR", 0)
    await load.write_register(bridge, "SPI_MAX_NEUR", NEURONS - 1)
    word = CHIP.word("neuron").pack_one(core=0, thr=1, leak_str=0, neur_disable=0)
    where, _, contents = load.neuron_bytes(np.full(NEURONS, word))
    await bridge.write(where, contents)
    weights = np.zeros((SOURCES, 256), np.int64)
    weights[np.arange(SOURCES), np.arange(SOURCES) % NEURONS] = 1
    pairs = CHIP.word("synapse_pair").pack(even=weights[:, 0::2], odd=weights[:, 1::2])
    where, _, contents = load.synapse_bytes(pairs)
    await bridge.write(where, contents)
    await load.write_register(bridge, "SPI_GATE_ACTIVITY", 0)
    await bridge.configure(Stream((Service(0, 0, 1000),), settle_us=1000))


def stimulus(seed: int, count: int) -> tuple[events.Words, events.Words]:
    """Words to send, and the words that must come back."""
    source = np.random.default_rng(seed).integers(0, SOURCES, count)
    marks = events.pack_marks(np.arange(count // EVERY))[:, None]
    there = events.pack_events(source).reshape(-1, EVERY)
    back = events.pack_events(source % NEURONS).reshape(-1, EVERY)
    return np.hstack([there, marks]).ravel(), np.hstack([back, marks]).ravel()


async def stream(bridge: Bridge, words: events.Words, got: list[events.Words], expected: int) -> None:
    """Sends `words` and collects what comes, without its times, until there is as much as expected."""

    async def collect() -> None:
        while sum(map(len, got)) < expected:
            batch = await bridge.receive()
            got.append(events.timed(batch.words, np.zeros(len(batch.words), np.int64)).words)

    async with asyncio.TaskGroup() as group:
        group.create_task(bridge.send(words))
        group.create_task(collect())


async def trial(kind: str, seed: int, outcome: Outcome, count: int = EVENTS) -> None:
    """One board, one faulty line, one stream; the books are checked and mistakes kept in `outcome`."""
    chance = random.Random(f"{kind} {seed}")
    board = TinyOdinBoard(seed=seed, fifo=chance.choice([64, 1024, 4096]))
    wire = FaultyWire(MemoryWire(board, f"campaign {kind} {seed}"), KINDS[kind](chance), KINDS[kind](chance))
    bridge = Bridge(wire, PATIENCE)
    words, expected = stimulus(seed, count)
    got: list[events.Words] = []
    died = False
    try:
        async with asyncio.timeout(HANG):
            await bridge.open()
            await program(bridge)
            await stream(bridge, words, got, len(expected))
    except* (DeviceLost, DeviceTimeout, ProtocolError):
        died = True
    except* TimeoutError:
        outcome.wrong.append(f"{kind} {seed}: hangs")
    finally:
        await bridge.close()
    outcome.trials += 1
    outcome.faults += injected(wire) + (died and kind in ("stall", "unplug"))
    outcome.died += died
    outcome.done += not died
    came = np.concatenate([np.zeros(0, np.uint32), *got])
    wrong = books(bridge, board, words, came, expected, died=died)
    if died and not wrong:
        wrong = await again(board, seed + 1, came)
    outcome.wrong += [f"{kind} {seed}: {each}" for each in wrong]


def injected(wire: FaultyWire) -> int:
    """Faults that the wire counted: bytes lost, corrupted and repeated, pieces delayed."""
    counts = wire.counters()
    return sum(counts.get(f"{side} {what}", 0) for side in ("in", "out") for what in RATED)


def books(
    bridge: Bridge,
    board: TinyOdinBoard,
    words: events.Words,
    came: events.Words,
    expected: events.Words,
    *,
    died: bool,
) -> list[str]:
    """What does not balance, one sentence each."""
    counts = board.counters()
    delivered = words[: bridge.sent - bridge.undelivered]
    checks = {
        "what came is not what should have come": np.array_equal(came, expected[: len(came)]),
        "more words were sent than given": bridge.sent <= len(words),
        "a word counts as delivered and the board has it not": _events(delivered)
        <= counts.get("events_in", 0),
        "the board has more words than were sent": counts.get("events_in", 0)
        <= _events(words[: bridge.sent]),
        "more was executed than came in": counts.get("events_executed", 0) <= counts.get("events_in", 0),
        "an event caused no spike": counts.get("spikes_seen", 0) == counts.get("events_executed", 0),
        "words are missing": bridge.missing == 0,
    }
    if not died:
        checks |= {
            "not everything came": len(came) == len(expected),
            "not everything was sent": bridge.sent == len(words),
            "not everything was delivered": bridge.undelivered == 0,
            "not everything was executed": counts["events_executed"] == _events(words),
        }
    return [sentence for sentence, holds in checks.items() if not holds]


async def again(board: TinyOdinBoard, seed: int, came: events.Words) -> list[str]:
    """The same board on a clean wire: what it flushed is counted, and it works."""
    bridge = Bridge(MemoryWire(board, "campaign again"))
    words, expected = stimulus(seed, 100)
    got: list[events.Words] = []
    try:
        async with asyncio.timeout(HANG):
            await bridge.open()
            counts = await bridge.board_counters()
            await program(bridge)
            await stream(bridge, words, got, len(expected))
    finally:
        await bridge.close()
    wrong: list[str] = []
    if counts["events_in"] != counts["events_executed"] + counts["events_flushed"]:
        wrong.append("events came in and were neither executed nor flushed")
    if counts["spikes_seen"] > _events(came) + counts["spikes_flushed"] + counts["spikes_dropped"]:
        wrong.append("spikes were seen and neither received nor counted")
    if not np.array_equal(np.concatenate(got), expected):
        wrong.append("the board does not work again")
    return wrong


def _events(words: events.Words) -> int:
    return int(np.count_nonzero(events.KINDS.classify(words) == events.EVENT))


async def campaign(faults: int, seed: int = 0, *, loud: bool = False) -> dict[str, Outcome]:
    """Trials of every kind in turn until so many faults were injected in all."""
    outcomes = {kind: Outcome() for kind in KINDS}
    while sum(each.faults for each in outcomes.values()) < faults:
        for kind, outcome in outcomes.items():
            await trial(kind, seed, outcome)
        seed += 1
        if loud:
            print(
                f"{sum(each.faults for each in outcomes.values()):,} faults",
                end="\r",
                file=sys.stderr,
                flush=True,
            )
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=10_000, help="faults to inject in all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes = asyncio.run(campaign(arguments.faults, arguments.seed, loud=sys.stderr.isatty()))
    print(f"{'fault':20}{'trials':>8}{'faults':>8}{'all arrived':>13}{'line died':>11}{'wrong':>7}")
    total: Counter[str] = Counter()
    for kind, o in outcomes.items():
        print(f"{kind:20}{o.trials:8}{o.faults:8}{o.done:13}{o.died:11}{len(o.wrong):7}")
        total.update(trials=o.trials, faults=o.faults, wrong=len(o.wrong))
    print(f"{total['faults']:,} faults in {total['trials']:,} trials, {total['wrong']} wrong")
    for outcome in outcomes.values():
        for sentence in outcome.wrong[:10]:
            print(sentence)
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
