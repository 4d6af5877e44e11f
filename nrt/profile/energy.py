"""Energy: one figure, and everything that must be known to read it.

A run may have several: its board's meter, a GPU's counter, two models. They stand side by side and are never added
up, for each is of something else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from nrt.errors import ConfigError

Kind = Literal["measured", "modelled", "published"]
_PREFIXES: Final = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one run, gross: idle power is in it. `kind` says how it was had and is never left out.

    measured: by the meter that `source` names · modelled: counters times the table that `source` names ·
    published: a figure of somebody else's, cited in `source`

    boundary:     what took the energy: "board", "GPU", "CPU package", "chip rails", "arithmetic only", …
    seconds:      how long the window of a run was, on average; None where a figure is of no time
    idle_watts:   measured just before and after, with nothing running; None where it was not
    windows:      how often it was measured; joules is their mean
    interval, net_interval: 95 % confidence interval of the mean in J; None for one window and for models
    rate_hz, samples: how often the meter looks, and how many samples the figure rests on
    notes:        what a reader must know besides, one sentence each: constants, wraps, doubts
    """

    joules: float
    kind: Kind
    source: str
    boundary: str
    seconds: float | None = None
    idle_watts: float | None = None
    windows: int = 1
    interval: tuple[float, float] | None = None
    net_interval: tuple[float, float] | None = None
    rate_hz: float | None = None
    samples: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def net(self) -> float | None:
        """J above idle; None where idle was not measured."""
        if self.idle_watts is None or self.seconds is None:
            return None
        return self.joules - self.idle_watts * self.seconds

    def each(self, count: int) -> Energy:
        """Of one of `count` equal parts of it, such as time steps or decisions. Raises ConfigError for none."""
        if count < 1:
            raise ConfigError(f"an energy cannot be shared by {count}")
        return replace(
            self,
            joules=self.joules / count,
            seconds=None if self.seconds is None else self.seconds / count,
            interval=_shared(self.interval, count),
            net_interval=_shared(self.net_interval, count),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, `net` among them."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "net": self.net}

    def lines(self) -> list[str]:
        """The figure, how it was had, and its notes, a line each."""
        return [self._figure(), *filter(None, [self._method()]), *self.notes]

    def __str__(self) -> str:
        return "; ".join(filter(None, [self._figure(), self._method()]))

    def _figure(self) -> str:
        text = f"{readable_joules(self.joules)}{_spread(self.interval)} {self.kind}, {self.boundary} ({self.source})"
        if self.net is None:
            return text
        return f"{text}, {readable_joules(self.net)}{_spread(self.net_interval)} net of {self.idle_watts:.3g} W idle"

    def _method(self) -> str:
        parts: list[str] = []
        if self.kind == "measured" and self.net is None:
            parts.append("idle not measured, not subtracted")
        if self.windows > 1:
            parts.append(f"{self.windows} windows")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.3g} s")
        if self.samples is not None:
            parts.append(f"{self.samples:,} samples")
        if self.rate_hz is not None:
            parts.append(f"{self.rate_hz:g} Hz")
        return ", ".join(parts)


def readable_joules(joules: float) -> str:
    """`joules` with the unit that suits it: "3.21 µJ"."""
    size = abs(joules)
    if not math.isfinite(joules) or size == 0:
        return f"{joules:.3g} J"
    factor, prefix = next((each for each in _PREFIXES if size >= each[0] * 0.9995), _PREFIXES[-1])
    return f"{joules / factor:.3g} {prefix}J"


def _shared(interval: tuple[float, float] | None, count: int) -> tuple[float, float] | None:
    return None if interval is None else (interval[0] / count, interval[1] / count)


def _spread(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ± {readable_joules((interval[1] - interval[0]) / 2)} (95 %)"
