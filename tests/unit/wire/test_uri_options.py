"""A device's URI takes the options of its wire, or of its emulated board, and no others."""

from __future__ import annotations

import pytest

from nrt import registry
from nrt.errors import ConfigError, NotFound
from nrt.registry import Uri


@pytest.mark.parametrize(
    "uri",
    [
        "tinyodin+serial:///dev/ttyACM0?baud=2000000&rtscts=yes",
        "tinyodin+usb:A1?interface=1",
        "tinyodin+tcp://localhost:7000?faults=corrupt:1e-4,seed:3",
        "tinyodin+emu:?skew_ppm=37&offset=120000000&faults=in.lose:0.01",
    ],
)
def test_options_of_the_wire_and_of_the_board_are_the_devices_own(uri: str) -> None:
    assert registry.device(uri).uri == uri


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("tinyodin+emu:?colour=red", r"has no option 'colour'; there is .*skew_ppm.*faults"),
        ("tinyodin+emu:?baud=9600", r"has no option 'baud'"),
        ("tinyodin+tcp://localhost:7000?baud=9600", r"has no option 'baud'"),
        ("tinyodin+serial:///dev/ttyACM0?skew_ppm=1", r"has no option 'skew_ppm'"),
        ("tinyodin+serial:///dev/ttyACM0?faults=melt:1", r"faults: no 'melt'"),
        ("tinyodin+pigeon:", r"write tinyodin\+.* or tinyodin\+"),
        ("tinyodin:", r"write tinyodin\+.* or tinyodin\+"),
        ("speck+emu:?faults=lose:0.1", r"has no option 'faults'"),
    ],
)
def test_others_are_refused_by_name(uri: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        registry.device(uri)


def test_an_emulated_board_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(NotFound, match=r"no emulated board 'cpu'; there is .*tinyodin"):
        registry.board(Uri.parse("cpu+emu:").scheme)
