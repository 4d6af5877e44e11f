from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nrt.errors import DeviceBusy, NotFound
from nrt.lease import Lease, exclusive
from tests.e2e.conftest import environment

BOARD = "tinyodin+serial:///dev/ttyNRT0"
HOLD = """
import sys
from nrt.lease import Lease
with Lease(sys.argv[1], "a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NRT_LEASES", str(tmp_path))


def holder(device: str) -> subprocess.Popen[str]:
    """Another process that has the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_process_at_a_time_has_a_device_and_the_others_hear_who() -> None:
    with holder(BOARD) as process:
        with pytest.raises(DeviceBusy, match=rf"leased to a test, process {process.pid}; see .*\.lease"):
            Lease(BOARD, "me").__enter__()
        with Lease("tinyodin+serial:///dev/ttyNRT1", "me") as other:
            assert other.held
        process.communicate("")
    with Lease(BOARD, "me") as lease:
        assert lease.held
    assert not lease.held


def test_a_lease_ends_with_a_killed_process() -> None:
    with holder(BOARD) as process:
        process.kill()
    with Lease(BOARD, "me"):
        pass


def test_a_device_has_one_lease_whatever_its_options_and_its_links(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyNRT0")
    with Lease(BOARD, "me"):
        for name in (f"{BOARD}?baud=115200", f"tinyodin+serial:{link}", BOARD):
            with pytest.raises(DeviceBusy):
                Lease(name, "me").__enter__()


def test_a_lease_that_was_never_had_does_not_end_that_of_another() -> None:
    with Lease(BOARD, "me"):
        with pytest.raises(DeviceBusy), Lease(BOARD, "me"):
            pass
        with pytest.raises(DeviceBusy):
            Lease(BOARD, "me").__enter__()


@pytest.mark.parametrize(
    "device", ["tinyodin+emu:", "cpu:", "reference:", "loihi2+sim:", "null:", "torch:cpu"]
)
def test_what_is_made_for_everybody_who_opens_it_is_not_leased(device: str) -> None:
    with Lease(device, "me") as first, Lease(device, "me") as second:
        assert not first.held
        assert not second.held


@pytest.mark.parametrize("device", [BOARD, "speck+samna:", "cuda:0", "tinyodin+usb:"])
def test_what_is_there_once_is_leased(device: str) -> None:
    assert exclusive(device)


def test_a_device_that_there_is_not_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="no device 'nope:'; there is cpu"):
        exclusive("nope:")


def test_the_lease_of_another_user_is_kept_too(tmp_path: Path) -> None:
    with Lease(BOARD, "me"):
        (file,) = tmp_path.glob("*.lease")
        file.chmod(0o444)
        with pytest.raises(DeviceBusy, match="leased to me"):
            Lease(BOARD, "somebody else").__enter__()
