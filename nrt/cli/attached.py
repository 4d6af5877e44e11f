"""What is plugged in: USB devices that nrt has a definition of, and serial lines, as the kernel lists them.

Only files below /sys are read: nothing is opened, no permission is needed, and no device notices. A watch reads them
twice a second; a list takes about a millisecond.
"""

from __future__ import annotations

import contextlib
import json as json_module
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from nrt import registry, spec
from nrt.errors import NotFound

INTERVAL: Final = 0.5
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Attached:
    """One device. names: definitions that have its USB numbers, of which several cameras may share some.

    uri:  what opens it, as far as that can be said without opening it
    line: its serial line, /dev/ttyACM0
    """

    place: str
    vendor: str
    product: str
    serial: str
    title: str
    names: tuple[str, ...]
    line: str = ""

    @property
    def uris(self) -> tuple[str, ...]:
        """URIs that may open it."""
        schemes = [name for name in self.names if _known(name)]
        if self.line:
            return tuple(f"{name}+serial://{self.line}" for name in schemes if "serial" in _wires(name))
        own = [(name, "usb" in _wires(name)) for name in schemes]
        return tuple(f"{name}{'+usb' if usb else ''}:{self.serial}" for name, usb in own)

    def __str__(self) -> str:
        what = self.title or "a device without a name"
        serial = f", serial number {self.serial}" if self.serial else ""
        how = f": {' or '.join(self.uris)}" if self.uris else ""
        line = f", {self.line}" if self.line else ""
        return f"{what} ({self.vendor}:{self.product}{serial}{line}){how}"


def _known(name: str) -> bool:
    return name in registry.DEVICES or name in registry.SOURCES


@cache
def _wires(name: str) -> tuple[str, ...]:
    entry = registry.DEVICES.get(name) or registry.SOURCES[name]
    wires: tuple[str, ...] = getattr(registry.load(entry), "wires", ())
    return wires


@cache
def known() -> dict[tuple[str, str], tuple[str, ...]]:
    """Names of definitions by USB vendor and product, in four hexadecimal digits each."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in spec.names():
        with contextlib.suppress(NotFound):  # no USB device
            usb = spec.load(name).wire("usb")
            for product in usb.integers("product"):
                key = f"{usb.integer('vendor'):04x}", f"{product:04x}"
                found[key] = (*found.get(key, ()), name)
    return found


def attached(root: Path = Path("/")) -> list[Attached]:
    """The devices that nrt knows, and all USB serial lines, sorted by place. root: what stands for / in tests."""
    lines = _lines(root)
    found = [
        _device(folder, lines.get(folder.resolve(), ""))
        for folder in sorted(_folders(root / "sys/bus/usb/devices"))
        if (folder / "idVendor").is_file()
    ]
    return [each for each in found if each.names or each.line]


def _folders(parent: Path) -> list[Path]:
    try:
        return list(parent.iterdir())
    except OSError:  # a machine without USB
        return []


def _lines(root: Path) -> dict[Path, str]:
    """Serial lines by the folder of the USB device that they are of."""
    found: dict[Path, str] = {}
    for folder in _folders(root / "sys/class/tty"):
        if not folder.name.startswith(("ttyUSB", "ttyACM")):
            continue
        for above in (folder / "device").resolve().parents:
            if (above / "idVendor").is_file():
                found[above] = f"/dev/{folder.name}"
                break
    return found


def _device(folder: Path, line: str) -> Attached:
    vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
    title = " ".join(filter(None, (_text(folder / "manufacturer"), _text(folder / "product"))))
    names = known().get((vendor, product), ())
    return Attached(folder.name, vendor, product, _text(folder / "serial"), title, names, line)


def _text(path: Path) -> str:
    """A file of one line; "" where it is not there, as of a device that was just pulled out."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


Change = Literal["plugged", "unplugged"]


def changes(
    stop: threading.Event, root: Path = Path("/"), interval: float = INTERVAL
) -> Iterator[tuple[Change, Attached]]:
    """What is plugged in and pulled out until `stop` is set; at first what is there is plugged in."""
    before: dict[str, Attached] = {}
    while not stop.is_set():
        now = {f"{each.place} {each.serial}": each for each in attached(root)}
        for key in before.keys() - now.keys():
            yield "unplugged", before[key]
        for key in sorted(now.keys() - before.keys()):
            yield "plugged", now[key]
        before = now
        stop.wait(interval)


def _say(text: str) -> None:
    print(text, flush=True)


def watch(
    json: bool, *, say: Callable[[str], None] | None = None, stop: threading.Event | None = None
) -> None:
    """Prints changes until Ctrl-C."""
    out = say or _say
    with contextlib.suppress(KeyboardInterrupt):
        for change, device in changes(stop or threading.Event()):
            stamp = time.strftime("%H:%M:%S")
            if json:
                out(
                    json_module.dumps(
                        {"time": stamp, "change": change, **asdict(device), "uris": device.uris}
                    )
                )
            else:
                out(f"{stamp} {change} {device}")
