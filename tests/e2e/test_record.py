"""`nrt record` and `nrt play` as a person runs them: killed, interrupted, on a full disk, onto a wire."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import serial  # type: ignore[import-untyped]

from nrt import formats
from nrt.errors import BadRecording, NrtError
from nrt.formats.evt3 import Evt3Decoder
from nrt.packet import EVENT, Records, join
from tests.e2e.conftest import Nrt, environment
from tests.unit.formats.streams import decoded, random_events, rows

FORMATS = ["evt3", "aedat4", "es", "hdf5"]
SHAPE = (2, 240, 320)
LIMIT = 1 << 20


@contextlib.contextmanager
def running(*arguments: object, file_size: int | None = None) -> Generator[subprocess.Popen[str]]:
    """The command line in a process of its own, killed if the test does not end it."""

    def limit() -> None:
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    process = subprocess.Popen(
        [sys.executable, "-m", "nrt", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=limit,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def salvaged(path: Path) -> tuple[Records, str]:
    """Every event that can be read, and what the reader says of the end."""
    parts = [np.zeros(0, EVENT)]
    slab = np.zeros(1 << 16, EVENT)
    try:
        with formats.open(path) as recording:
            while count := recording.read(slab):
                parts.append(slab[:count].copy())
    except BadRecording as damage:
        return join(parts), damage.reason
    return join(parts), ""


def require_prefix(found: Records, path: Path) -> None:
    """Fails unless `found` is how the events of the recording at `path` begin."""
    whole, _ = salvaged(path)
    for name in "txyp":
        np.testing.assert_array_equal(found[name], whole[name][: len(found)])


def wait_for(path: Path, until: int) -> Records:
    """Reads the growing recording until it has reached that time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            found, _ = salvaged(path)
        except NrtError:
            continue
        if len(found) and int(found["t"][-1]) >= until:
            return found
    raise AssertionError(f"{path} did not grow to {until} µs")


def written(path: Path, count: int, step: int) -> Path:
    events = random_events(3, count, SHAPE, step)
    events["t"] -= events["t"][0]
    events["x"] = np.random.default_rng(3).permutation(events["x"])  # no runs, which some formats shorten
    with formats.create(path, "dat", SHAPE) as writer:
        writer.write(events)
    return path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of some 15 s, to be played in real time."""
    return written(tmp_path_factory.mktemp("live") / "live.dat", 200_000, 2_000)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 800 000 events, more than a small disk holds in any format."""
    return written(tmp_path_factory.mktemp("large") / "large.dat", 800_000, 50)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", f"size={LIMIT}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_killed_recorder_leaves_what_it_had_recorded(tmp_path: Path, live: Path, name: str) -> None:
    path = tmp_path / "recording"
    with running("record", f"file:{live}?speed=1", path, "--format", name) as process:
        before = wait_for(path, 1_500_000)
        process.send_signal(signal.SIGKILL)
    after, _ = salvaged(path)
    assert len(after) >= len(before)
    require_prefix(after, live)


def test_control_c_ends_the_recording_in_order(tmp_path: Path, live: Path) -> None:
    path = tmp_path / "a.aedat4"
    with running("record", f"file:{live}?speed=1", path, "--json") as process:
        wait_for(path, 500_000)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    result = json.loads(out)
    found, complaint = salvaged(path)
    assert complaint == ""
    assert result["error"] == "stopped by the user"
    assert result["events"] == result["safe"] == len(found)
    assert result["bytes"] == path.stat().st_size
    require_prefix(found, live)


def check_full(process: subprocess.Popen[str], path: Path, original: Path, reason: str) -> None:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    found, complaint = salvaged(path)
    assert complaint == ""
    assert err.strip().splitlines()[-1] == (
        f"nrt: {path}: {reason}; the recording ends here, its first {len(found):,} events "
        f"({path.stat().st_size:,} bytes) are safe"
    )
    assert json.loads(out)["safe"] == len(found)
    require_prefix(found, original)


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_ends_in_one_sentence_and_a_whole_file(small_disk: Path, large: Path, name: str) -> None:
    path = small_disk / "recording"
    with running("record", large, path, "--format", name, "--json") as process:
        check_full(process, path, large, "No space left on device")


@pytest.mark.parametrize("name", ["evt3", "hdf5"])
def test_a_file_that_may_not_grow_ends_in_one_sentence_and_a_whole_file(
    tmp_path: Path, large: Path, name: str
) -> None:
    path = tmp_path / "recording"
    with running("record", large, path, "--format", name, "--json", file_size=LIMIT) as process:
        check_full(process, path, large, "File too large")


def test_a_recording_is_copied_into_another_format_up_to_a_time(nrt: Nrt, live: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.h5"
    result = nrt("record", live, path, "--for", "1s")
    assert result.returncode == 0, result.stderr
    found, _ = salvaged(path)
    original, _ = salvaged(live)
    assert result.stdout.startswith(f"{path} (hdf5): {len(found):,} events over 1 s · ")
    assert len(found) == np.count_nonzero(original["t"] < 1_000_000)
    require_prefix(found, live)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("record", "missing.raw", "a.raw"), "cannot read missing.raw"),
        (("record", "synth:bar", "a.foo"), "the ending tells no format"),
        (("record", "synth:bar", "a.raw", "--for", "0s"), "must be longer than 0"),
        (("play", "synth:bar", "--to", "pty"), "give both or neither"),
        (("play", "synth:bar", "--to", "usb", "--as", "evt3"), "usb is for programs"),
        (("play", "synth:bar?speed=1", "--speed", "2"), "says its speed already"),
    ],
)
def test_mistakes_are_one_sentence(nrt: Nrt, arguments: tuple[str, ...], reason: str) -> None:
    result = nrt(*arguments)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_playing_says_how_well_it_kept_time(nrt: Nrt, live: Path) -> None:
    result = nrt("play", live, "--speed", "50", "--for", "2s")
    assert result.returncode == 0, result.stderr
    assert " events over 2 s" in result.stdout
    assert "late by" in result.stdout


def test_a_serial_driver_reads_what_is_played_onto_a_terminal(live: Path) -> None:
    raw = b""
    with running("play", live, "--for", "1s", "--to", "pty", "--as", "evt3", "--json") as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        with serial.Serial(address, timeout=60) as line, contextlib.suppress(serial.SerialException):
            while True:  # until the other end hangs up
                raw += line.read(max(line.in_waiting, 1))
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = decoded(Evt3Decoder(), [raw])
    assert len(found) == json.loads(out)["events"] > 1_000
    assert found == rows(salvaged(live)[0][: len(found)])


def test_datagrams_carry_what_is_played_to_an_address(nrt: Nrt, live: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        receiver.bind(("127.0.0.1", 0))
        to = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        result = nrt("play", live, "--for", "300ms", "--to", to, "--as", "evt3")
        assert result.returncode == 0, result.stderr
        receiver.setblocking(False)
        datagrams: list[bytes] = []
        with pytest.raises(BlockingIOError):
            while True:
                datagrams.append(receiver.recv(1 << 16))
    found = decoded(Evt3Decoder(), datagrams)
    assert f" {len(found):,} events" in result.stdout
    assert found == rows(salvaged(live)[0][: len(found)])
