"""What can be made to go wrong with an emulated board."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from nrt.errors import ConfigError

OVERLOAD_PS: Final = 10**9
"""With the fault `overload`: how late the chip may take an event, 1 ms, before it stops altogether. The vendor says
that an overloaded chip stalls, and not when (sinabs, faqs/tips_for_training.md)."""
_KNOWN: Final = "busy, absent, unplug:N, stall:N, overload"


@dataclass(frozen=True, slots=True)
class Faults:
    """busy: somebody else holds the board · absent: there is none · unplug, stall: after how many input events the
    cable comes off, or the chip falls silent (0: never) · overload: whether an overloaded chip stops for good"""

    busy: bool = False
    absent: bool = False
    unplug: int = 0
    stall: int = 0
    overload: bool = False

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Reads "busy,unplug:1000" and the like. Raises ConfigError."""
        made = cls()
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, number = part.partition(":")
            match name:
                case "unplug" if number.isdecimal():
                    made = replace(made, unplug=int(number))
                case "stall" if number.isdecimal():
                    made = replace(made, stall=int(number))
                case "busy" if not number:
                    made = replace(made, busy=True)
                case "absent" if not number:
                    made = replace(made, absent=True)
                case "overload" if not number:
                    made = replace(made, overload=True)
                case _:
                    raise ConfigError(f"fault '{part}' of the emulated Speck board; there is {_KNOWN}")
        return made

    def unplugged(self, seen: int) -> bool:
        """Whether the cable is off after `seen` input events."""
        return 0 < self.unplug <= seen

    def silent(self, seen: int) -> bool:
        """Whether the chip is silent after `seen` input events."""
        return 0 < self.stall <= seen

    def swallow(self, seen: int, last: int) -> int:
        """How many of the `last` of `seen` input events still reach the chip."""
        return last if not self.stall else max(0, min(last, self.stall - (seen - last)))

    def overloaded(self, late_ps: int) -> bool:
        """Whether the chip stops because it is so late."""
        return self.overload and late_ps > OVERLOAD_PS
