"""A chain of filters, as `?filter=` of a source's URI names it.

`background:5ms,refractory:time=1ms:since=any,crop:10:10:64:64`: filters in their order with commas between them; a
filter's options behind colons, in their order or by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from nrt.errors import ConfigError, NotFound
from nrt.filters import option
from nrt.filters.base import OUTSIDE, UNTOLD, Filter, Shape, Stage
from nrt.filters.geometry import Bin, Crop, Flip, Geometry, Polarity, Rotate, Transpose, fold
from nrt.filters.noise import Antiflicker, Background, Hot, Refractory
from nrt.filters.thinning import Downsample, Rate
from nrt.packet import EVENT, Records, words

FILTERS: Final[Mapping[str, type[Filter]]] = {
    made.name: made
    for made in (
        Background,
        Refractory,
        Hot,
        Antiflicker,
        Rate,
        Downsample,
        Bin,
        Crop,
        Flip,
        Rotate,
        Transpose,
        Polarity,
    )
}


def parse(text: str) -> tuple[Filter, ...]:
    """The filters that `text` names. Raises NotFound for an unknown one, ConfigError for its options."""
    if not text.strip():
        raise ConfigError(f"filter= names no filter; there is {', '.join(FILTERS)}")
    return tuple(_filter(part.strip()) for part in text.split(","))


def _filter(text: str) -> Filter:
    name, *given = text.split(":")
    if name not in FILTERS:
        known = ", ".join(FILTERS)
        raise NotFound(
            name, f"no filter '{name}'; there is {known} (filter=name:option,name:option)", list(FILTERS)
        )
    made = FILTERS[name]
    fields = {field.name: field for field in made.options()}
    values: dict[str, Any] = {}
    for place, value in enumerate(given):
        key, equals, rest = value.partition("=")
        if not equals:
            if place >= len(fields):
                raise ConfigError(f"filter {text}: too many options; there is {made.usage()}")
            key, rest = list(fields)[place], value
        if key not in fields:
            raise ConfigError(f"filter {name} has no option '{key}'; there is {made.usage()}")
        if key in values:
            raise ConfigError(f"filter {text}: {key} is given twice")
        values[key] = option.read(name, fields[key], rest)
    missing = [
        key for key, field in fields.items() if field.default is dataclasses.MISSING and key not in values
    ]
    if missing:
        raise ConfigError(f"filter {text}: {' and '.join(missing)} must be given, as in {made.usage()}")
    return made(**values)


class Chain:
    """Filters one after the other. Called with the events of packet after packet, it returns those that stay.

    Call `start` before the first. The events are moved within the memory that they are in, and nothing is allocated
    for them; what stays does not depend on where the stream was cut into packets.
    """

    def __init__(self, filters: Sequence[Filter] | str) -> None:
        self.filters = parse(filters) if isinstance(filters, str) else tuple(filters)
        self._stages: list[Stage] = []

    def shape(self, shape: Shape | None) -> Shape | None:
        """The sensor as it looks behind all filters. Raises ConfigError."""
        for each in self.filters:
            shape = each.shape(shape)
        return shape

    def start(self, shape: Shape | None) -> None:
        """A stream begins, of a sensor of `shape`: nothing is remembered. Raises ConfigError."""
        self._stages = []
        for geometric, group in groupby(self.filters, lambda each: isinstance(each, Geometry)):
            members = list(group)
            if geometric:
                self._stages.append(fold([each for each in members if isinstance(each, Geometry)], shape))
            for each in members:
                if not geometric:
                    self._stages.append(each.start(shape))
                shape = each.shape(shape)

    def warm(self) -> None:
        """Compiles what has not been compiled yet, so that no camera waits for it; call it after `start`."""
        import numpy as np

        for stage in self._stages:
            stage(words(np.empty(0, EVENT)))

    def __call__(self, events: Records) -> Records:
        """Those of `events` that stay: a part of the same memory. Raises ConfigError for what are no events."""
        if events.dtype != EVENT:
            raise ConfigError("filters are for the events of a sensor, and these are spikes")
        left = words(events)
        for stage in self._stages:
            left = left[: stage(left)]
        return events[: len(left)]

    def counters(self) -> Mapping[str, int]:
        """How many events each filter took out since the stream began, and what it found; only what is not zero."""
        counts: dict[str, int] = {}
        for stage in self._stages:
            for label, count in zip(stage.labels, stage.gone.tolist(), strict=True):
                counts[label] = counts.get(label, 0) + count
        counts[OUTSIDE] = counts.pop(OUTSIDE, 0)  # last
        return {label: count for label, count in counts.items() if count and label != UNTOLD}

    def __str__(self) -> str:
        """As a URI names it, with every option."""
        return ",".join(map(str, self.filters))


def warm() -> None:
    """Compiles every filter's kernel."""
    chain = Chain("polarity:on,background,refractory,hot,hot:learn=always,antiflicker,rate:1M,downsample:2")
    chain.start((2, 4, 4))
    chain.warm()
