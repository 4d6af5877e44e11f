"""A simulated camera's wire: events of any source as a vendor's own bytes, on a file, a terminal, UDP or USB.

The driver at the other end is the one that a real camera has, unchanged. `emitter("davis", "pty")` makes the sink
that an `nrt.record.Transfer` feeds; its `address` is what the driver opens.
"""

from __future__ import annotations

from nrt_sim.wires.emitter import Emitter, emitter
from nrt_sim.wires.ports import FilePort, Port, PtyPort, UdpPort
from nrt_sim.wires.usb import UsbPort

__all__ = ["Emitter", "FilePort", "Port", "PtyPort", "UdpPort", "UsbPort", "emitter"]
