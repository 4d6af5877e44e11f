"""The books of what a node promised: decisions and alarms, each of which must arrive once.

Ids are `node.boot.pipeline.kind-number`, and the numbers of one kind, pipeline and boot count from 1 without a gap.
So a receiver alone can tell what is missing between the first and the last that it has; what was made last before a
daemon was killed is known from elsewhere (`made`).
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import Final

_ID: Final = re.compile(
    r"(?P<node>[^.]+)\.(?P<boot>[^.]+)\.(?P<pipeline>[^.]+)\.(?P<kind>\w+)-(?P<number>\d+)"
)
Row = tuple[str, str, str]
"""boot, pipeline, kind."""


class Books:
    """What was received, by id."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.redelivered = 0
        """Repeats that the broker itself made, as it could not know what had been acknowledged."""
        self.late: int = 0
        """Messages that came in another order than they were made in."""
        self._rows: defaultdict[Row, set[int]] = defaultdict(set)
        self._made: defaultdict[Row, int] = defaultdict(int)

    def receive(self, payload: bytes, *, again: bool = False) -> None:
        """A message on a topic of decisions or alarms. again: the broker says that it may have sent it before."""
        id = str(json.loads(payload)["id"])
        row, number = _take_apart(id)
        self.redelivered += again and id in self.received
        self.received[id] += 1
        if self._rows[row] and number < max(self._rows[row]):
            self.late += 1
        self._rows[row].add(number)

    def made(self, id: str) -> None:
        """The daemon made that one: it must be received, with all before it."""
        row, number = _take_apart(id)
        self._made[row] = max(self._made[row], number)

    @property
    def repeats(self) -> int:
        """Messages that came again with an id that was there already: a receiver drops them."""
        return self.received.total() - len(self.received)

    @property
    def missing(self) -> list[str]:
        """Ids that should have come and did not."""
        found: list[str] = []
        for row in {*self._rows, *self._made}:
            have = self._rows[row]
            last = max(max(have, default=0), self._made[row])
            found += [f"{'.'.join(row)}-{number}" for number in range(1, last + 1) if number not in have]
        return found

    def verdict(self, repeats: int = 0) -> list[str]:
        """What is wrong, a sentence each. repeats: how many messages may have come again."""
        wrong: list[str] = []
        if self.missing:
            wrong.append(f"{len(self.missing)} promised messages are missing, such as {self.missing[:5]}")
        if self.repeats > repeats:
            again = [id for id, count in self.received.items() if count > 1]
            wrong.append(f"{self.repeats} promised messages came again, such as {again[:5]}; {repeats} may")
        if not self.received:
            wrong.append("no promised message was received at all")
        return wrong

    def __str__(self) -> str:
        kinds: Counter[str] = Counter()
        boots: set[str] = set()
        for row, have in self._rows.items():
            kinds[row[2]] += len(have)
            boots.add(row[0])
        counts = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(kinds.items()))
        return (
            f"received: {counts or 'nothing'} of {len(boots)} starts of the daemon; {len(self.missing)} missing, "
            f"{self.repeats} repeated ({self.redelivered} by the broker), {self.late} out of order"
        )


def _take_apart(id: str) -> tuple[Row, int]:
    match = _ID.fullmatch(id)
    if match is None:
        raise AssertionError(f"'{id}' is no id of a notice")
    return (match["boot"], match["pipeline"], match["kind"]), int(match["number"])
