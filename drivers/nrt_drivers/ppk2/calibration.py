"""What a kit says of itself when asked: the calibration of its five ranges, lines of "name: number" up to END."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import spec
from nrt.errors import ProtocolError

SPEC: Final = spec.load("ppk2")
END: Final = b"END\n"
USUAL: Final = {"r": 0.0, "gs": 1.0, "gi": 1.0, "o": 0.0, "s": 0.0, "i": 0.0, "ug": 1.0}
"""Shunt, quadratic and linear gain, offset, and how supply and offset current enter; gain by the user. Each with what
the vendor's application takes where the kit does not say; it must say its shunts."""
RANGES: Final = SPEC.limit("ranges")


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Of one kit. table: float64[7, 5], a row for each of USUAL, a column for each range"""

    table: NDArray[np.float64]
    hardware: str

    @classmethod
    def parse(cls, uri: str, text: bytes) -> Calibration:
        """Raises ProtocolError for an answer that is not a kit's."""
        rows: dict[str, str] = {}
        for line in text.decode("latin-1").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                rows[name.strip().lower()] = value.strip()
        table = np.array(
            [[_number(rows, f"{name}{k}", usual) for k in range(RANGES)] for name, usual in USUAL.items()]
        )
        if not (table[0] > 0).all():
            got = ", ".join(f"{ohms:g}" for ohms in table[0])
            raise ProtocolError(
                uri, len(text), "a kit's metadata with a shunt above zero for each range", got
            )
        return cls(table, rows.get("hw", ""))


def _number(rows: dict[str, str], name: str, usual: float) -> float:
    """What a kit says, or what is usual where it says nothing or -nan, as its vendor's application has it."""
    try:
        found = float(rows.get(name, ""))
    except ValueError:
        return usual
    return found if math.isfinite(found) else usual
