from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrt
from nrt.daemon.mqtt.spool import Spool
from nrt.errors import ConfigError


def payloads(spool: Spool) -> list[bytes]:
    return [each.payload for each in spool.after(-1, 100_000)]


def test_what_was_put_waits_in_order_until_it_is_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    numbers = [spool.put("a/b", b"%d" % k) for k in range(5)]
    assert [(each.topic, each.payload) for each in spool.after(-1, 2)] == [("a/b", b"0"), ("a/b", b"1")]
    assert [each.payload for each in spool.after(numbers[1], 9)] == [b"2", b"3", b"4"]
    spool.done(numbers[1])
    spool.done(numbers[1])
    assert payloads(spool) == [b"0", b"2", b"3", b"4"]
    spool.close()


def test_it_is_there_again_after_the_process_ended(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    numbers = [spool.put("t", b"%d" % k) for k in range(5)]
    spool.done(numbers[0])
    spool.done(numbers[3])
    spool.close()
    again = Spool(tmp_path)
    assert payloads(again) == [b"1", b"2", b"4"]
    assert again.put("t", b"5") > numbers[-1]
    assert again.damaged == 0
    again.close()


def test_it_is_for_one_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(ConfigError, match="another process"):
        Spool(tmp_path)
    spool.close()


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_damage_anywhere_costs_what_follows_and_nothing_before(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    for k in range(10):
        spool.put("topic", b"message %d" % k)
    spool.close()
    (file,) = folder.glob("*.spool")
    data = bytearray(file.read_bytes())
    at %= len(data)
    changed = cut or data[at] != value
    if cut:
        del data[at:]
    else:
        data[at] = value
    file.write_bytes(data)
    again = Spool(folder)
    kept = payloads(again)
    assert kept == [b"message %d" % k for k in range(len(kept))]
    assert again.damaged > 0 or not changed or cut
    assert (len(kept) == 10) == (not changed)
    again.put("topic", b"more")
    again.close()
    last = Spool(folder)
    assert payloads(last) == [*kept, b"more"]
    assert last.damaged == 0
    last.close()


@settings(max_examples=25)
@given(st.binary(max_size=300))
def test_any_file_is_a_spool(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("spool")
    (folder / "000000000001.spool").write_bytes(data)
    spool = Spool(folder)
    assert spool.damaged <= len(data)
    spool.put("t", b"x")
    assert payloads(spool)[-1] == b"x"
    spool.close()


def test_the_oldest_make_room_and_are_counted_until_somebody_was_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=10_000)
    for k in range(100):
        spool.put("t", b"%4d" % k + bytes(996))
    kept = payloads(spool)
    assert spool.size <= 10_000
    assert [int(each[:4]) for each in kept] == list(range(100 - len(kept), 100))
    assert spool.dropped == spool.untold == 100 - len(kept)
    spool.close()
    again = Spool(tmp_path, limit=10_000)
    assert again.untold == 100 - len(kept)
    again.told(again.untold)
    again.close()
    last = Spool(tmp_path, limit=10_000)
    assert last.untold == 0
    assert payloads(last) == kept
    last.close()


def test_the_disk_holds_little_more_than_what_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=1 << 22)
    first = spool.put("t", b"first")
    for _ in range(8_000):
        spool.done(spool.put("t", bytes(500)))
    assert len(spool) == 1
    spool.done(first)
    spool.put("t", b"last")
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < 3 << 20
    spool.close()
    again = Spool(tmp_path)
    assert payloads(again) == [b"last"]
    again.close()


def test_all_that_was_written_reaches_the_disk_whatever_file_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    spool = Spool(tmp_path)
    for _ in range(3):
        spool.put("t", bytes(1 << 20))  # each begins the next file
    files = list(tmp_path.glob("*.spool"))
    assert len(files) == 3
    asyncio.run(spool.sync())
    assert {each.stat().st_ino for each in files} <= synced
    synced.clear()
    asyncio.run(spool.sync())
    assert not synced, "nothing was written since"
    spool.close()


def full_disk(monkeypatch: pytest.MonkeyPatch, room: Callable[[], int]) -> None:
    """Has writes to files fail as they do on a full disk: some bytes are written, then none."""
    real = os.pwrite

    def pwrite(handle: int, data: bytes, offset: int) -> int:
        left = room()
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[:left], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)


def test_a_full_disk_loses_nothing_and_is_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [10**9]
    full_disk(monkeypatch, lambda: room[0])
    spool = Spool(tmp_path)
    numbers = [spool.put("t", b"before")]
    room[0] = 7
    numbers += [spool.put("t", b"during %d" % k) for k in range(3)]
    assert "space" in spool.failure
    spool.done(numbers[0])
    spool.done(numbers[2])
    assert payloads(spool) == [b"during 0", b"during 2"]
    room[0] = 10**9
    spool.flush()
    assert spool.failure == ""
    spool.put("t", b"after")
    spool.close()
    again = Spool(tmp_path)
    assert payloads(again) == [b"during 0", b"during 2", b"after"]
    assert again.damaged == 0
    again.close()


def test_a_real_full_disk_keeps_to_the_bound_in_memory(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    spool = Spool(tmp_path, limit=100_000)
    os.dup2(os.open("/dev/full", os.O_RDWR), begun(spool))
    for k in range(1_000):
        spool.put("t", b"%5d" % k + bytes(995))
    assert "space" in spool.failure
    kept = payloads(spool)
    assert spool.size <= 100_000
    assert int(kept[-1][:5]) == 999
    assert spool.dropped == 1_000 - len(kept)
    spool.close()


def begun(spool: Spool) -> int:
    """The descriptor of its first file."""
    spool.done(spool.put("t", b"x"))
    return int(cast(Any, spool)._files[0].handle)


KILLED = """
import sys
from pathlib import Path
import nrt
from nrt.daemon.mqtt.spool import Spool
spool = Spool(Path(sys.argv[1]))
k = 0
while True:
    number = spool.put("t", b"%d" % k + bytes(700))
    print("put", k, flush=True)
    if k % 3:
        spool.done(number)
        print("done", k, flush=True)
    k += 1
"""


@pytest.mark.parametrize("lines", [1, 2_000])
def test_a_process_that_is_killed_loses_nothing_that_it_had_put(tmp_path: Path, lines: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(nrt.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(lines)]
        process.kill()
        said += [line.split() for line in process.stdout if line.endswith("\n")]
    spool = Spool(tmp_path)
    found = {int(each.rstrip(b"\0")) for each in payloads(spool)}
    spool.close()
    put = {int(k) for what, k in said if what == "put"}
    done = {int(k) for what, k in said if what == "done"}
    assert put - done - found <= {max(put)}, "the last one may have been done and not said so"
    assert not found & done
    assert max(found) <= max(put) + 1
