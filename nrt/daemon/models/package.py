"""The package as a file: a zip with a fixed list of members, read within limits and checked before it is believed.

Nothing of a package is parsed as a network before its signature is good: `read` checks sizes and digests only, and
`nrt.daemon.models.keys` the signature.
"""

from __future__ import annotations

import datetime
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from nrt.daemon.models.manifest import EVENTS, NETWORK, Golden, Manifest, Member
from nrt.errors import BadPackage
from nrt.packet import EVENT, SPIKE, Records
from nrt.reading import Reading

LIMIT: Final = 256 << 20
"""Bytes that a package may have, as a file and unpacked."""
_SMALL: Final = 1 << 20
_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "signature.json"


@dataclass(frozen=True, slots=True)
class Signature:
    """Of a manifest's bytes. key: the signer's key by its fingerprint; value: 64 bytes of Ed25519."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A package in memory, whole as its manifest says. signature: None where nobody signed it."""

    manifest: Manifest
    members: Mapping[str, bytes]
    signature: Signature | None = None

    @property
    def address(self) -> str:
        """SHA-256 of the manifest, in hexadecimal digits."""
        return self.manifest.address

    @property
    def label(self) -> str:
        """Its name, version and the beginning of its address, for people."""
        return f"{self.manifest.name} {self.manifest.version} ({self.address[:12]})"

    @property
    def events(self) -> Records:
        """The golden input, EVENT records. Raises BadPackage."""
        return self._records(EVENTS)

    @property
    def outputs(self) -> dict[str, Records]:
        """The golden output by population, SPIKE records. Raises BadPackage."""
        names = zip(self.manifest.golden.outputs, self.manifest.output_members, strict=True)
        return {population: self._records(member) for population, member in names}

    def _records(self, member: str) -> Records:
        data = self.members[member]
        if len(data) % EVENT.itemsize:
            raise BadPackage(self.label, f"{member} is {len(data)} bytes, no multiple of {EVENT.itemsize}")
        records: Records = np.frombuffer(data, EVENT if member == EVENTS else SPIKE)
        return records

    def to_bytes(self) -> bytes:
        """As the file. Equal packages are equal bytes."""
        files = {_MANIFEST: self.manifest.to_bytes(), **self.members}
        if self.signature is not None:
            files[_SIGNATURE] = json.dumps(
                {"key": self.signature.key, "ed25519": self.signature.value.hex()}
            ).encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()


def pack(
    network: bytes,
    *,
    name: str,
    version: int,
    suffix: str,
    digest: str,
    reading: Reading,
    golden: Golden,
    events: bytes,
    outputs: list[bytes],
) -> Package:
    """A package of a network's file, and of the golden run's input and outputs as bytes; not signed."""
    members = {NETWORK: network, EVENTS: events, **{f"golden/{k}": data for k, data in enumerate(outputs)}}
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    listed = {each: Member.of(data) for each, data in members.items()}
    return Package(Manifest(name, version, created, suffix, digest, reading, golden, listed), members)


def read(source: Path | bytes, limit: int = LIMIT) -> Package:
    """A package whose members are what its manifest says. Nothing is said of who signed it.

    Raises BadPackage for a file that is none, is damaged, or is larger than `limit` bytes unpacked.
    """
    where = str(source) if isinstance(source, Path) else "package"
    try:
        if isinstance(source, Path) and source.stat().st_size > limit:
            raise BadPackage(where, f"it is larger than {limit:,} bytes")
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return _read(_Archive(archive, where, limit))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise BadPackage(where, f"it is no model package: {error}") from error


class _Archive:
    """A zip of which no more is unpacked than `limit` bytes."""

    def __init__(self, archive: zipfile.ZipFile, where: str, limit: int) -> None:
        self._archive, self.where, self.limit = archive, where, limit
        self.names = archive.namelist()
        if len(set(self.names)) != len(self.names):
            raise BadPackage(where, "two members have the same name")

    def bytes(self, name: str, most: int) -> bytes:
        """A member of at most `most` bytes, whatever the zip claims its size to be."""
        if name not in self.names:
            raise BadPackage(self.where, f"it has no {name}")
        with self._archive.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise BadPackage(self.where, f"{name} is larger than {most:,} bytes")
        return data


def _read(archive: _Archive) -> Package:
    manifest = Manifest.from_bytes(archive.bytes(_MANIFEST, _SMALL), archive.where)
    if sum(member.size for member in manifest.members.values()) > archive.limit:
        raise BadPackage(archive.where, f"it unpacks to more than {archive.limit:,} bytes")
    if extra := set(archive.names) - {_MANIFEST, _SIGNATURE, *manifest.members}:
        raise BadPackage(archive.where, f"'{min(extra)}' is in it, which its manifest does not list")
    members: dict[str, bytes] = {}
    for name, member in manifest.members.items():
        members[name] = archive.bytes(name, member.size)
        if Member.of(members[name]) != member:
            raise BadPackage(archive.where, f"{name} is not what the manifest says: its digest differs")
    signature = None
    if _SIGNATURE in archive.names:
        signature = _signature(archive.bytes(_SIGNATURE, _SMALL), archive.where)
    return Package(manifest, members, signature)


def _signature(data: bytes, where: str) -> Signature:
    try:
        values = json.loads(data)
        return Signature(str(values["key"]), bytes.fromhex(values["ed25519"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadPackage(where, "its signature cannot be read") from error
