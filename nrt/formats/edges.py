"""What decoders do with the triggers that their kernels find among the events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.formats.base import TRIGGER
from nrt.formats.words import Events


class Edges:
    """Room for the triggers of one call of a kernel, and those of earlier calls until they are taken.

    words: where the kernel writes, `int64[room, 2]`, laid out as TRIGGER · state[place]: how many it has written
    """

    def __init__(self, state: NDArray[np.int64], place: int, room: int) -> None:
        self.words: Events = np.zeros((room, 2), np.int64)
        self._state, self._place = state, place
        self._kept: list[NDArray[np.void]] = []

    @property
    def free(self) -> int:
        """Places that the kernel has left."""
        return len(self.words) - int(self._state[self._place])

    def keep(self) -> None:
        """Makes room again."""
        count = int(self._state[self._place])
        if count:
            self._kept.append(self.words[:count].copy().view(TRIGGER).reshape(count))
            self._state[self._place] = 0

    def take(self) -> NDArray[np.void]:
        """All since the last call (TRIGGER)."""
        self.keep()
        taken, self._kept = self._kept, []
        return np.concatenate(taken) if taken else np.empty(0, TRIGGER)
