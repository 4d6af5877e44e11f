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
NAMES: Final = ("r", "gs", "gi", "o", "s", "i", "ug")
"""Shunt, quadratic and linear gain, offset, and how supply and offset current enter; gain by the user."""
RANGES: Final = SPEC.limit("ranges")


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Of one kit. table: float64[7, 5], a row for each of NAMES, a column for each range; millivolts: its supply"""

    table: NDArray[np.float64]
    millivolts: int
    hardware: str

    @classmethod
    def parse(cls, uri: str, text: bytes) -> Calibration:
        """Raises ProtocolError for an answer that is not a kit's."""
        rows: dict[str, str] = {}
        for line in text.decode("latin-1").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                rows[name.strip().lower()] = value.strip()
        names = [f"{name}{k}" for name in NAMES for k in range(RANGES)]
        values = [_number(uri, text, name, rows.get(name)) for name in names]
        table = np.array(values).reshape(len(NAMES), RANGES)
        if not (table[0] > 0).all():
            raise ProtocolError(uri, len(text), "shunts above zero", ", ".join(f"{r:g}" for r in table[0]))
        volts = _number(uri, text, "vdd", rows.get("vdd"))
        return cls(table, round(volts), rows.get("hw", "?"))


def _number(uri: str, text: bytes, name: str, value: str | None) -> float:
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        got = "none" if value is None else repr(value[:40])
        raise ProtocolError(uri, len(text), f"a number for {name} in the kit's metadata", got)
    return found
