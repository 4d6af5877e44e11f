"""Serving an emulated board to other processes: on a pseudo-terminal, over TCP, or as a USB device for pyusb."""

from __future__ import annotations

from nrt_sim.serve.door import Door
from nrt_sim.serve.pty import PtyDoor
from nrt_sim.serve.server import Server
from nrt_sim.serve.tcp import TcpDoor

__all__ = ["Door", "PtyDoor", "Server", "TcpDoor"]
