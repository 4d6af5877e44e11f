"""Comparison: what several devices made of the same network and the same packets, and what it depended on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from nrt import plain
from nrt.compare.figures import Agreement, Divergence, Paired, Participant, Readout
from nrt.compare.ladder_result import Ladder
from nrt.errors import ConfigError

FORMAT: Final = "nrt comparison 1"
"""How the JSON of a comparison begins, so that other documents are told from it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How devices are compared.

    q:         Victor-Purpura: cost per second of moving a spike; one moved by 2/q or more is taken away and added
    tau_us:    van Rossum: time constant of the filter
    tolerance: steps by which two spikes may differ and still match
    reach:     the longest delay that is looked for, in steps, both ways
    speed:     0: as fast as the devices take it; 1: in real time
    limit_us:  how much of each recording is taken; None: all
    jobs:      recordings side by side
    membranes: whether a second pass records membranes around the first divergence
    """

    q: float = 100.0
    tau_us: int = 10_000
    tolerance: int = 0
    reach: int = 32
    speed: float = 0.0
    limit_us: int | None = None
    jobs: int = 1
    membranes: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError for options that cannot be."""
        for name, least in (("q", 0.0), ("tolerance", 0), ("reach", 0), ("speed", 0.0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {least:g} or more")
        for name in ("tau_us", "jobs", "limit_us"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a comparison.

    label:   the class that it shows, None where there is none
    hash:    SHA-256 over the stream that every device was given: its events, where it begins and where it ends
    answers: per device the output neuron that fired most (highest mean membrane of a readout), None on a tie or
             where it did not run
    agreement: per pair the F1 of the outputs' spikes, None where nothing fired or it did not run
    failures: per device why it did not run this recording, or ""
    error:   why the recording itself could not be read, or ""
    """

    name: str
    uri: str
    label: int | None = None
    hash: str = ""
    events: int = 0
    seconds: float = 0.0
    answers: tuple[int | None, ...] = ()
    agreement: tuple[float | None, ...] = ()
    failures: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A device against the first one that ran. first, second: their places in the comparison.

    populations: those that both show · one_sided: those that only one of them shows, and which
    """

    first: int
    second: int
    populations: tuple[Agreement, ...] = ()
    readouts: tuple[Readout, ...] = ()
    one_sided: Mapping[str, str] = field(default_factory=dict[str, str])
    divergence: Divergence | None = None
    paired: Paired | None = None
    notes: tuple[str, ...] = ()

    def agreement(self, population: str) -> Agreement | None:
        """That of one population, None where there is none."""
        return next((each for each in self.populations if each.population == population), None)


@dataclass(frozen=True, slots=True)
class Train:
    """Spikes of one population on one device: t in µs from the start of the raster, and the neuron of each."""

    t: tuple[int, ...]
    n: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Raster:
    """What a page shows of one population in one recording: all devices over the same span.

    start, end: µs from the start of the recording · whole: False where the span was cut to bound the spikes
    trains:     one per device, None where it does not show the population; delays are not taken out
    """

    recording: int
    population: str
    neurons: int
    start: int
    end: int
    whole: bool
    trains: tuple[Train | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Devices, recordings, and every device against the first. Figures that were not had are None.

    network:   name, hash, neurons · semantics, encoding: how it was read
    reading:   the file that it was read from and how (`Network.loaded`); empty for one made otherwise
    outputs:   populations that the answers are read from
    sources:   data set or recordings as they were named; each is in `recordings`
    notes:     what a reader must know to judge the figures
    """

    network: Mapping[str, str]
    semantics: Mapping[str, Any]
    encoding: Mapping[str, Any]
    outputs: tuple[str, ...]
    options: Options
    started: str
    devices: tuple[Participant, ...]
    recordings: tuple[Recording, ...]
    pairs: tuple[Pair, ...]
    reading: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[str, ...] = ()
    rasters: tuple[Raster, ...] = ()
    ladder: Ladder | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    host: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def failed(self) -> bool:
        """Whether a device could not run the network, or a recording could not be run."""
        return any(d.error for d in self.devices) or any(r.error or any(r.failures) for r in self.recordings)

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, strings, lists and dictionaries; what follows from the figures stands beside them."""
        result: dict[str, Any] = {"format": FORMAT, **plain.encode(self)}
        for written, pair in zip(result["pairs"], self.pairs, strict=True):
            for row, each in zip(written["populations"], pair.populations, strict=True):
                row |= {"f1": each.f1, "jaccard": each.jaccard, "exact": each.exact}
        return result

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON; what is not a number is null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """As one self-contained HTML page."""
        from nrt.page import of_comparison  # drawing is needed for this alone

        return of_comparison(self)

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """What `to_dict` gave. Raises ConfigError where it is something else."""
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ConfigError(f"this is no comparison: the document does not begin with format '{FORMAT}'")
        return plain.decode(cls, document)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The comparison in a JSON file. Raises NotFound, ConfigError."""
        return cls.from_dict(plain.read(path))

    def __str__(self) -> str:
        from nrt.compare.text import printed  # it reads this module

        return printed(self)
