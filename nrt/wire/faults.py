"""What can go wrong on a wire, as data, and what one direction of a wire makes of the bytes that pass.

Every fault is counted in bytes, so that for each direction, at any time that nothing is in between,
`taken + repeated = delivered + lost + undelivered`. Faults are drawn per byte from a seed: the same bytes suffer the
same, in whatever pieces they come.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrt.errors import ConfigError
from nrt.registry import convert


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one direction. Rates are per byte, on a wire of datagrams per datagram.

    lose, corrupt, repeat: rates of bytes that vanish, have one bit flipped, or come twice
    piece:  most bytes that pass at a time; 0 leaves them as they come
    delay:  rate of pieces that are held back, and all behind them, for `hold` seconds
    stall:  bytes after which nothing passes any more until the wire is closed; 0 for never
    unplug: bytes after which the device is gone, once; 0 for never
    """

    lose: float = 0.0
    corrupt: float = 0.0
    repeat: float = 0.0
    piece: int = 0
    delay: float = 0.0
    hold: float = 0.01
    stall: int = 0
    unplug: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("lose", "corrupt", "repeat", "delay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"faults: {name} is {getattr(self, name)}; it is a rate between 0 and 1")
        for name in ("piece", "hold", "stall", "unplug", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"faults: {name} is {getattr(self, name)}; it must not be negative")

    @classmethod
    def parse(cls, text: str) -> tuple[Faults, Faults]:
        """The faults in and out, from `corrupt:1e-4,in.lose:0.01,seed:3`; a name without a side means both.

        Raises ConfigError.
        """
        sides: dict[str, dict[str, Any]] = {"in": {}, "out": {}}
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        for part in filter(None, text.split(",")):
            where, _, value = part.partition(":")
            side, _, name = where.rpartition(".")
            if name not in kinds or side not in ("", "in", "out"):
                raise ConfigError(
                    f"faults: no '{where}'; there is {', '.join(kinds)}, each alone or as in.… or out.…"
                )
            number = convert(f"faults: {where}", value, int if kinds[name] == "int" else float)
            for each in sides if not side else [side]:
                sides[each][name] = number
        return cls(**sides["in"]), cls(**sides["out"])


class Damage:
    """One direction of a faulty wire: bytes in, what is left of them out. No I/O, no clock.

    side: "in" or "out", of which the counters' names begin
    """

    def __init__(self, faults: Faults, side: str, *, datagrams: bool = False) -> None:
        self.faults = faults
        self._side, self._datagrams = side, datagrams
        self._bytes = np.random.default_rng([faults.seed, side == "in"])
        self._pieces = np.random.default_rng([faults.seed, 2 + (side == "in")])
        self._counts: Counter[str] = Counter()
        self._passed = 0
        self._armed = faults.unplug > 0

    def begin(self) -> None:
        """The wire was opened: a stall is over, and the bytes up to the next are counted anew."""
        self._passed = 0

    @property
    def stalled(self) -> bool:
        """Whether nothing passes any more."""
        return 0 < self.faults.stall <= self._passed

    @property
    def unplugged(self) -> bool:
        """Whether the device has gone."""
        return self._armed and self._passed >= self.faults.unplug

    def replug(self) -> None:
        """The device is there again, and stays."""
        self._armed = False

    def count(self, what: str, number: int) -> None:
        """Adds to the counter "in what" or "out what"."""
        self._counts[f"{self._side} {what}"] += number

    def counters(self) -> dict[str, int]:
        """What was counted, by name; only what is not zero."""
        return {name: count for name, count in self._counts.items() if count}

    def delayed(self) -> bool:
        """Whether the next piece is held back."""
        late = self.faults.delay > 0 and bool(self._pieces.random() < self.faults.delay)
        self.count("delayed", late)
        return late

    def pieces(self, data: bytes) -> list[bytes]:
        """What passes of `data`, damaged, in pieces; what a stall or the plug cuts off is counted undelivered."""
        marks = [self.faults.stall] if self.faults.stall else []
        marks += [self.faults.unplug] if self._armed else []
        room = min([max(mark - self._passed, 0) for mark in marks], default=len(data))
        kept = data[:room]
        self.count("taken", len(data))
        self.count("undelivered", len(data) - len(kept))
        self._passed += len(kept)
        damaged = self._whole(kept) if self._datagrams else [self._bytewise(kept)]
        return [piece for each in damaged for piece in self._cut(each) if piece]

    def _cut(self, data: bytes) -> list[bytes]:
        step = self.faults.piece or max(len(data), 1)
        return [data[at : at + step] for at in range(0, len(data), step)]

    def _bytewise(self, data: bytes) -> bytes:
        f = self.faults
        if not (f.lose or f.corrupt or f.repeat) or not data:
            return data
        draws = self._bytes.random((len(data), 4))
        out = np.frombuffer(data, np.uint8).copy()
        lost = draws[:, 0] < f.lose
        corrupt = (draws[:, 1] < f.corrupt) & ~lost
        repeat = (draws[:, 2] < f.repeat) & ~lost
        out[corrupt] ^= np.left_shift(1, (draws[corrupt, 3] * 8).astype(np.uint8)).astype(np.uint8)
        self._tally(int(lost.sum()), int(corrupt.sum()), int(repeat.sum()))
        return np.repeat(out, 1 - lost.astype(np.int8) + repeat).tobytes()

    def _whole(self, data: bytes) -> list[bytes]:
        """A datagram: lost, damaged or repeated as one."""
        f, draws = self.faults, self._bytes.random(5)
        if draws[0] < f.lose:
            self._tally(len(data), 0, 0)
            return []
        corrupt, repeat = draws[1] < f.corrupt and len(data) > 0, draws[2] < f.repeat
        if corrupt:
            at = int(draws[4] * len(data))
            data = data[:at] + bytes([data[at] ^ 1 << int(draws[3] * 8)]) + data[at + 1 :]
        self._tally(0, int(corrupt), len(data) * repeat)
        return [data, data] if repeat else [data]

    def _tally(self, lost: int, corrupted: int, repeated: int) -> None:
        self.count("lost", lost)
        self.count("corrupted", corrupted)
        self.count("repeated", repeated)
