"""The marker: a file that takes 1 and 0, and a modem line, which a pseudo-terminal has not."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from nrt.clock import now
from nrt.errors import ConfigError, DeviceError
from nrt.profile.meters.marker import Marker


def test_a_file_gets_1_and_0_and_the_moment_is_told(tmp_path: Path) -> None:
    place = tmp_path / "value"
    place.write_text("1\n")
    marker = Marker(str(place))
    marker.open()
    assert place.read_text()[0] == "0"
    before = now()
    assert before <= marker.set(True) <= now()
    assert place.read_text()[0] == "1"
    marker.set(False)
    assert place.read_text()[0] == "0"
    marker.close()
    marker.close()


def test_a_terminal_without_modem_lines_is_refused() -> None:
    leader, follower = pty.openpty()
    try:
        marker = Marker(f"{os.ttyname(follower)}:rts")
        with pytest.raises(DeviceError, match="has no modem lines to signal with"):
            marker.open()
        marker.close()
    finally:
        os.close(leader)
        os.close(follower)


def test_a_place_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot open .*: No such file"):
        Marker(str(tmp_path / "none")).open()
    with pytest.raises(
        ConfigError, match="'cts' is no modem line; write /dev/ttyUSB0:rts or /dev/ttyUSB0:dtr"
    ):
        Marker("/dev/ttyUSB0:cts")
