from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrt import spec
from nrt.cli.app import app
from nrt.cli.attached import Attached, attached, changes, watch
from nrt.cli.udev import install, rules
from nrt.errors import ConfigError

USB = "sys/bus/usb/devices"


def plug(root: Path, place: str, vendor: str, product: str, serial: str = "", line: str = "") -> Path:
    """A device as the kernel shows it: a folder far below /sys/devices, and links to it."""
    folder = root / "sys/devices/pci0000:00/usb1" / place
    folder.mkdir(parents=True)
    for name, text in {
        "idVendor": vendor,
        "idProduct": product,
        "serial": serial,
        "product": "Thing",
    }.items():
        if text:
            (folder / name).write_text(text + "\n")
    links = root / USB
    links.mkdir(parents=True, exist_ok=True)
    (links / place).symlink_to(folder)
    (links / f"{place}:1.0").symlink_to(folder / f"{place}:1.0")  # an interface: no device
    if line:
        port = folder / f"{place}:1.0" / line
        port.mkdir(parents=True)
        terminal = root / "sys/class/tty" / line
        terminal.mkdir(parents=True)
        (terminal / "device").symlink_to(port)
    return links / place


def test_known_cameras_are_found_with_their_serial_numbers_and_others_are_not(tmp_path: Path) -> None:
    plug(tmp_path, "1-1", "152a", "841a", "00000123")
    plug(tmp_path, "1-2", "046d", "c077")
    (found,) = attached(tmp_path)
    assert (found.place, found.serial, found.names) == ("1-1", "00000123", ("davis346",))
    assert found.uris == ("davis346:00000123",)
    assert str(found) == "Thing (152a:841a, serial number 00000123): davis346:00000123"


def test_numbers_that_two_cameras_share_name_both(tmp_path: Path) -> None:
    plug(tmp_path, "1-1", "04b4", "00f5")
    (found,) = attached(tmp_path)
    assert found.names == ("evk3", "evk4")


def test_a_serial_line_is_offered_only_to_drivers_that_speak_over_one() -> None:
    device = Attached("1-1", "0403", "6010", "", "", ("dvs128", "edvs"), "/dev/ttyUSB0")
    assert device.uris == ("edvs+serial:///dev/ttyUSB0",)


def test_serial_lines_of_unknown_devices_are_listed_too(tmp_path: Path) -> None:
    plug(tmp_path, "1-3", "0403", "6014", "FT1", line="ttyUSB0")
    (found,) = attached(tmp_path)
    assert (found.line, found.names) == ("/dev/ttyUSB0", ())


def test_a_machine_without_usb_has_nothing_attached(tmp_path: Path) -> None:
    assert attached(tmp_path) == []


def test_a_watch_tells_what_comes_and_goes_and_ends_when_asked(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: Iterator[tuple[str, object]] = changes(stop, tmp_path, interval=0.01)
    plug(tmp_path, "1-1", "152a", "841a", "A")
    first = next(seen)
    (tmp_path / USB / "1-1").unlink()
    second = next(seen)
    plug(tmp_path, "1-4", "152a", "8419", "B")
    third = next(seen)
    stop.set()
    assert list(seen) == []
    assert [change for change, _ in (first, second, third)] == ["plugged", "unplugged", "plugged"]
    assert first[1] == second[1]
    assert "dvxplorer:B" in str(third[1])


def test_a_camera_exchanged_for_another_one_at_the_same_plug_is_noticed(tmp_path: Path) -> None:
    stop = threading.Event()
    folder = plug(tmp_path, "1-1", "152a", "841a", "A")
    seen = changes(stop, tmp_path, interval=0.01)
    assert next(seen)[1].serial == "A"
    (folder / "serial").write_text("B\n")
    assert [(change, each.serial) for change, each in (next(seen), next(seen))] == [
        ("unplugged", "A"),
        ("plugged", "B"),
    ]
    stop.set()
    assert list(seen) == []


def test_a_watch_prints_json_lines() -> None:
    stop = threading.Event()
    stop.set()
    lines: list[str] = []
    watch(True, say=lines.append, stop=stop)
    assert [json.loads(line) for line in lines] == []


def test_the_list_of_devices_names_what_is_attached() -> None:
    found = json.loads(CliRunner().invoke(app, ["devices", "--json"]).stdout)
    assert isinstance(found["attached"], list)
    assert {"evk4:", "spif:", "tcp:"} <= {row["scheme"] for row in found["sources"]}


def test_there_is_a_rule_for_every_usb_device_of_the_definitions() -> None:
    text = rules()
    for name in spec.names():
        loaded = spec.load(name)
        if "usb" not in loaded.transport:
            continue
        usb = loaded.wire("usb")
        for product in usb.integers("product"):
            pair = f'ATTR{{idVendor}}=="{usb.integer("vendor"):04x}", ATTR{{idProduct}}=="{product:04x}"'
            assert pair in text, name
    assert text.count("SUBSYSTEM") == len([line for line in text.splitlines() if not line.startswith("#")])


def test_rules_are_installed_by_one_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["udev", "--install", "--into", str(tmp_path)])
    assert result.exit_code == 0
    assert (tmp_path / "70-nrt.rules").read_text() == rules()


def test_where_rules_cannot_be_written_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(ConfigError, match=r"run: sudo .* udev --install"):
        install(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="cannot write"):
        install(tmp_path / "nowhere")
