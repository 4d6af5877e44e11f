"""Packages: what is read back, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.daemon.models import golden, keys
from nrt.daemon.models.manifest import Manifest, Member
from nrt.daemon.models.package import Package, read
from nrt.errors import BadPackage, ConfigError
from nrt.packet import EVENT
from nrt.reading import Reading
from tests.unit.models.packages import events, network_file, package

pytest.importorskip("cryptography", reason="the package cryptography, of extra daemon, is not installed")


def changed(file: bytes, **members: bytes | None) -> bytes:
    """A package's file with members replaced, added or (None) left out."""
    with zipfile.ZipFile(io.BytesIO(file)) as old:
        parts: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
    parts |= members
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, data in parts.items():
            if data is not None:
                new.writestr(name, data)
    return out.getvalue()


async def test_a_package_is_read_as_it_was_made(tmp_path: Path) -> None:
    made = await package(tmp_path)
    keys.generate(tmp_path / "k.key")
    signed = keys.signed(made, tmp_path / "k.key")
    found = read(signed.to_bytes())
    assert found.manifest == made.manifest
    assert found.address == made.address
    assert found.members == made.members
    assert found.signature == signed.signature
    assert np.array_equal(found.events["t"], events()["t"])
    assert golden.network_of(found).hash == Reading(dt="1ms").load(network_file(tmp_path)).hash
    outcome = await golden.check(found, golden.network_of(found))
    assert (outcome.agreement, outcome.spikes) == (1.0, 40)


async def test_only_the_signature_of_a_trusted_key_counts(tmp_path: Path) -> None:
    mine, other = (keys.generate(tmp_path / f"{name}.key") for name in ("mine", "other"))
    signed = keys.signed(await package(tmp_path), tmp_path / "mine.key")
    keys.verify(signed, keys.trusted([mine, other]))
    with pytest.raises(BadPackage, match="it is signed with the key"):
        keys.verify(signed, keys.trusted([other]))
    with pytest.raises(BadPackage, match="nobody signed it"):
        keys.verify(dataclasses.replace(signed, signature=None), keys.trusted([mine]))


async def test_a_signature_does_not_carry_over_to_another_package(tmp_path: Path) -> None:
    public = keys.generate(tmp_path / "k.key")
    signed = keys.signed(await package(tmp_path), tmp_path / "k.key")
    newer = await package(tmp_path, version=2)
    forged = dataclasses.replace(newer, signature=signed.signature)
    with pytest.raises(BadPackage, match="its signature is wrong"):
        keys.verify(forged, keys.trusted([public]))


async def test_a_member_that_was_changed_is_noticed(tmp_path: Path) -> None:
    file = (await package(tmp_path)).to_bytes()
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        network = bytearray(archive.read("network"))
    network[100] ^= 1
    with pytest.raises(BadPackage, match="its digest differs"):
        read(changed(file, network=bytes(network)))


async def test_what_a_manifest_does_not_list_is_refused(tmp_path: Path) -> None:
    file = (await package(tmp_path)).to_bytes()
    with pytest.raises(BadPackage, match=r"'\.\./evil' is in it"):
        read(changed(file, **{"../evil": b"x"}))
    with pytest.raises(BadPackage, match="it has no network"):
        read(changed(file, network=None))
    with pytest.raises(BadPackage, match="it has no manifest"):
        read(changed(file, **{"manifest.json": None}))


async def test_a_package_unpacks_to_no_more_than_its_limit(tmp_path: Path) -> None:
    made = await package(tmp_path)
    bomb = b"\0" * 50_000_000
    with pytest.raises(BadPackage, match="network is larger than"):
        read(changed(made.to_bytes(), network=bomb))
    members = {**made.members, "network": bomb}
    listed = {name: Member.of(data) for name, data in members.items()}
    honest = Package(dataclasses.replace(made.manifest, members=listed), members)
    with pytest.raises(BadPackage, match="unpacks to more than 10,000,000"):
        read(honest.to_bytes(), limit=10_000_000)
    large = tmp_path / "large"
    large.write_bytes(made.to_bytes())
    with pytest.raises(BadPackage, match="larger than 100 bytes"):
        read(large, limit=100)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("format", "nrt-model/9", "its format is 'nrt-model/9'"),
        ("name", "../../etc", "name is '../../etc'"),
        ("version", -1, "version is -1"),
        ("version", True, "version is True"),
        ("suffix", ".py", "suffix is '.py'"),
        ("reading", {"pickle": "x"}, "'pickle' is not known"),
        ("members", {}, "its members are not"),
        ("golden", [], "a table is expected"),
    ],
)
async def test_a_manifest_with_nonsense_is_refused(
    tmp_path: Path, field: str, value: object, sentence: str
) -> None:
    values = json.loads((await package(tmp_path)).manifest.to_bytes())
    values[field] = value
    with pytest.raises(BadPackage, match=sentence):
        Manifest.from_bytes(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())


async def test_a_manifest_has_one_form_only(tmp_path: Path) -> None:
    manifest = (await package(tmp_path)).manifest
    with pytest.raises(BadPackage, match="not in canonical form"):
        Manifest.from_bytes(manifest.to_bytes().replace(b",", b", ", 1))


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_whatever_bytes_come_are_a_package_or_refused(data: bytes, place: int) -> None:
    for file in (data, FILE[: place % len(FILE)] + data + FILE[place % len(FILE) + len(data) :]):
        try:
            made = read(file)
        except BadPackage:
            continue
        assert made.members == read(FILE).members


async def test_a_golden_run_that_comes_out_otherwise_is_refused(tmp_path: Path) -> None:
    made = await package(tmp_path)
    spikes = made.outputs["a"].copy()
    spikes["n"][0] ^= 1
    lying = dataclasses.replace(made, members={**made.members, "golden/0": spikes.tobytes()})
    with pytest.raises(BadPackage, match=r"and 100\.00% are asked for"):
        await golden.check(lying, golden.network_of(lying))


async def test_a_golden_run_never_takes_hardware(tmp_path: Path) -> None:
    made = await package(tmp_path)
    manifest = dataclasses.replace(
        made.manifest, golden=dataclasses.replace(made.manifest.golden, device="speck+samna:")
    )
    with pytest.raises(BadPackage, match="only simulated devices may"):
        await golden.check(dataclasses.replace(made, manifest=manifest), golden.network_of(made))


async def test_a_golden_run_without_spikes_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a golden run needs spikes"):
        await package(tmp_path, threshold=1000.0)
    silent = golden.recorded(np.empty(0, EVENT), (2, 2, 2), 0, 1000)
    with pytest.raises(ConfigError, match="needs events"):
        await golden.make(network_file(tmp_path), Reading(), silent, name="x", version=1)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    keys.generate(tmp_path / "k.key")
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is there already"):
        keys.generate(tmp_path / "k.key")
    (tmp_path / "no.pub").write_text("-----BEGIN NOTHING-----\n")
    with pytest.raises(ConfigError, match="no public key in it"):
        keys.trusted([tmp_path / "no.pub"])


def _file() -> bytes:
    import asyncio
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(package(Path(folder))).to_bytes()


FILE = _file()
