"""From a device's URI to the wire that it names, clean or faulty."""

from __future__ import annotations

from collections.abc import Mapping

from nrt import registry
from nrt.errors import ConfigError, Unsupported
from nrt.registry import Uri
from nrt.wire.base import Board, Wire
from nrt.wire.faults import Faults
from nrt.wire.faulty import FaultyWire
from nrt.wire.memory import MemoryWire


def wire(uri: Uri, defaults: Mapping[str, int] | None = None) -> Wire:
    """The wire of `uri`, not yet open: serial, usb, tcp, udp, or emu for the emulated board of its scheme.

    defaults: what the device's spec says of its own line (baud, vendor, product); the URI's options come first,
    and each wire takes what it has a use for. `?faults=corrupt:1e-4,seed:3` makes any wire faulty (`Faults`).
    Raises ConfigError, NotFound.
    """
    made: Wire = MemoryWire(board(uri), str(uri)) if uri.wire == "emu" else _line(uri, defaults or {})
    if "faults" not in uri.options:
        return made
    return FaultyWire(made, *Faults.parse(uri.options["faults"]), datagrams=uri.wire == "udp")


def board(uri: Uri) -> Board:
    """A fresh emulated board of the URI's scheme, with those of its options that the board has.

    Raises NotFound, ConfigError, Unsupported.
    """
    made = registry.board(uri.scheme)
    if not hasattr(made, "receive"):
        raise Unsupported(
            f"{uri.scheme}+emu", "this emulated board stands behind a vendor's calls, not behind a wire"
        )
    built: Board = made(**registry.options_for(made, uri))
    return built


def _line(uri: Uri, defaults: Mapping[str, int]) -> Wire:
    if uri.wire not in registry.WIRES:
        raise ConfigError(f"{uri}: no wire '{uri.wire}'; there is {', '.join(registry.WIRES)}")
    made = registry.load(registry.WIRES[uri.wire])
    own = {name: value for name, value in defaults.items() if name in registry.option_names(made)}
    line: Wire = made(uri, **(own | registry.options_for(made, uri)))
    return line
