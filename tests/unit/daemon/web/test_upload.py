"""Uploads: within the limit, looked at, kept by their content; nothing of what is refused stays."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from nrt.daemon.web import upload
from nrt.errors import ConfigError
from tests.unit.daemon.web.conftest import NETWORK, Serve


async def parts(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def kept(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def test_a_network_is_kept_under_the_hash_of_its_content(tmp_path: Path) -> None:
    data = NETWORK.read_bytes()
    taken = await upload.take(parts(data, 3), tmp_path, len(data))
    assert taken.sha256 == hashlib.sha256(data).hexdigest()
    assert taken.path == tmp_path / f"{taken.sha256}.nir"
    assert taken.path.read_bytes() == data
    assert taken.about == "4 populations, 5,130 neurons"  # 12 x 16 x 16 + 32 x 8 x 8 + 10
    assert kept(tmp_path) == [taken.path.name]


async def test_one_byte_too_many_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    data = NETWORK.read_bytes()
    with pytest.raises(upload.TooLarge, match="an upload may have"):
        await upload.take(parts(data), tmp_path, len(data) - 1)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95pickle", b"\x89HDF", b"#!/bin/sh\nrm -rf /\n"])
async def test_what_is_neither_a_network_nor_a_package_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigError, match="this is neither"):
        await upload.take(parts(data), tmp_path, 10_000)
    assert kept(tmp_path) == []


async def test_a_damaged_network_is_refused_before_anything_uses_it(tmp_path: Path) -> None:
    data = NETWORK.read_bytes()
    for broken in (data[:700], data[:8] + bytes(5_000), data[: len(data) // 2]):
        with pytest.raises(ConfigError, match="the upload"):
            await upload.take(parts(broken), tmp_path, len(data))
    assert kept(tmp_path) == []


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield NETWORK.read_bytes()[:5_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await upload.take(broken(), tmp_path, 10**9)
    assert kept(tmp_path) == []


async def test_only_the_newest_stay(tmp_path: Path) -> None:
    for k in range(upload.KEPT + 3):
        old = tmp_path / f"{k:064x}.nir"
        old.write_bytes(b"x")
        os.utime(old, (k, k))
    taken = await upload.take(parts(NETWORK.read_bytes()), tmp_path, 10**9)
    assert len(kept(tmp_path)) == upload.KEPT
    assert taken.path.name in kept(tmp_path)
    assert f"{0:064x}.nir" not in kept(tmp_path)


async def test_what_a_killed_daemon_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".upload.abc").write_bytes(b"half")
    taken = await upload.take(parts(NETWORK.read_bytes()), tmp_path, 10**9)
    assert kept(tmp_path) == [taken.path.name]


async def test_there_is_one_upload_at_a_time(serve: Serve) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        data = NETWORK.read_bytes()
        yield data[:1000]
        begun.set()
        await go_on.wait()
        yield data[1000:]

    async with serve() as box, aiohttp.ClientSession() as session:
        first = asyncio.create_task(session.post(f"{box.url}api/models", data=slow()))
        async with asyncio.timeout(60):
            await begun.wait()
            folder = box.node.folder / "models" / "uploads"
            while not list(folder.glob(".upload.*")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        async with session.post(f"{box.url}api/models", data=b"x") as answer:
            assert answer.status == 503
            assert "another upload is under way" in (await answer.json())["error"]
        go_on.set()
        async with asyncio.timeout(60):
            assert (await first).status == 200


async def test_what_is_uploaded_over_http_can_be_deployed_by_its_path(serve: Serve) -> None:
    async with serve('upload = "1MB"') as box, aiohttp.ClientSession() as session:
        async with session.post(f"{box.url}api/models", data=NETWORK.read_bytes()) as answer:
            assert answer.status == 200
            taken = await answer.json()
        command = {
            "id": "a",
            "verb": "deploy",
            "pipeline": "digits",
            "arguments": {"path": taken["path"]},
        }
        async with session.post(f"{box.url}api/command", json=command) as answer:
            assert (await answer.json())["ok"], await answer.text()
        assert box.pipeline.config.network.name == f"{taken['sha256']}.nir"
        async with session.post(f"{box.url}api/models", data=bytes(1_000_001)) as answer:
            assert answer.status == 413
        for path in ("../../../etc/passwd", "/etc/passwd", "uploads/../../edge.toml"):
            escape = {**command, "id": path, "arguments": {"path": path}}
            async with session.post(f"{box.url}api/command", json=escape) as answer:
                assert not (await answer.json())["ok"]
