"""The manifest of a model package: what is in it, how it is to be read, and what it must compute. Its SHA-256 names it.

A package is a zip of `manifest.json`, the members that the manifest lists with size and SHA-256, and
`signature.json`. Who signs the manifest's bytes has signed everything, and two packages of one name hold the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from nrt.errors import BadPackage, ConfigError
from nrt.reading import Reading

FORMAT: Final = "nrt-model/1"
NETWORK: Final = "network"
EVENTS: Final = "golden/events"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SUFFIX: Final = re.compile(r"\.(nir|net|h5|hdf5)")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 1 << 20
"""Bytes of a manifest."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a package: its size in bytes and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The entry for `data`."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Golden:
    """A short run and what comes out of it: the smoke test that a package brings along.

    device:    URI of what computed it, and computes it again wherever the package goes
    shape:     (polarities, height, width) of the sensor · start, end: of the events, in µs
    outputs:   populations whose output is kept, in the order of the members `golden/0`, `golden/1`…
    agreement: the least share of spikes that must come out the same; 1 for all
    """

    device: str
    shape: tuple[int, int, int]
    start: int
    end: int
    outputs: tuple[str, ...]
    agreement: float = 1.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself.

    version: counts up; a daemon takes no older one unless it is forced to
    suffix:  how the network's file ends ('.nir', '.net'), which says how it is read
    network: `Network.hash` of what the file is read as
    """

    name: str
    version: int
    created: str
    suffix: str
    network: str
    reading: Reading
    golden: Golden
    members: Mapping[str, Member]

    def to_bytes(self) -> bytes:
        """As JSON in one canonical form."""
        golden = self.golden
        values = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "suffix": self.suffix,
            "network": self.network,
            "reading": self.reading.to_dict(),
            "golden": {
                "device": golden.device,
                "shape": list(golden.shape),
                "start": golden.start,
                "end": golden.end,
                "outputs": list(golden.outputs),
                "agreement": golden.agreement,
            },
            "members": {
                name: {"size": member.size, "sha256": member.sha256} for name, member in self.members.items()
            },
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "package") -> Self:
        """Raises BadPackage for what is no manifest."""
        try:
            if len(data) > _LONGEST:
                raise ValueError("it is too long")
            made = cls._from(_mapping(json.loads(data)))
            if made.to_bytes() != data:
                raise ValueError("it is not in canonical form")
            return made
        except (ValueError, KeyError, TypeError, ConfigError, RecursionError) as error:
            what = f"has no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
            raise BadPackage(where, f"its manifest cannot be read: {what}") from error

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> Self:
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}, this nrt reads {FORMAT}")
        made = cls(
            name=_matching(_NAME, values["name"], "name"),
            version=_whole(values["version"], "version"),
            created=str(values["created"]),
            suffix=_matching(_SUFFIX, values["suffix"], "suffix"),
            network=_matching(_DIGEST, values["network"], "network"),
            reading=Reading.from_dict(_mapping(values["reading"])),
            golden=_golden(_mapping(values["golden"])),
            members={
                name: Member(
                    _whole(entry["size"], f"size of {name}"), _matching(_DIGEST, entry["sha256"], "sha256")
                )
                for name, entry in _mapping(values["members"]).items()
            },
        )
        expected = {NETWORK, EVENTS, *made.output_members}
        if set(made.members) != expected:
            raise ValueError(f"its members are not {', '.join(sorted(expected))}")
        return made

    @property
    def output_members(self) -> list[str]:
        """The members with the golden output, one per population."""
        return [f"golden/{k}" for k in range(len(self.golden.outputs))]

    @property
    def address(self) -> str:
        """SHA-256 of the manifest: the package's name by content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def _golden(values: Mapping[str, Any]) -> Golden:
    shape = values["shape"]
    outputs = values["outputs"]
    agreement = float(values["agreement"])
    if not _are(shape, int) or len(shape) != 3 or min(shape) < 1 or not _are(outputs, str) or not outputs:
        raise ValueError("golden must have a shape of three numbers and a list of outputs")
    if not 0 < agreement <= 1:
        raise ValueError(f"golden agreement is {agreement}; it lies above 0 and is at most 1")
    start, end = _whole(values["start"], "start"), _whole(values["end"], "end")
    if end <= start:
        raise ValueError("its golden run ends before it starts")
    return Golden(
        str(values["device"]), (shape[0], shape[1], shape[2]), start, end, tuple(outputs), agreement
    )


def _are(values: object, kind: type) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and all(isinstance(v, kind) for v in values)
    )


def _mapping(values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise TypeError("a table is expected where something else stands")
    return values


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise ValueError(f"{what} is {value!r}; it is a whole number")
    return value


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{what} is {value!r}")
    return value
