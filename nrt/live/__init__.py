"""Live cameras: bytes to packets in the camera's thread, bounded latency, no silent loss."""

from __future__ import annotations

from nrt.live.arrival import Arrival
from nrt.live.camera import Camera
from nrt.live.intake import Cut, Intake
from nrt.live.merge import Merge
from nrt.live.outlet import Outlet
from nrt.live.reconnect import Reconnector
from nrt.live.source import LiveOptions, LiveSource

__all__ = [
    "Arrival",
    "Camera",
    "Cut",
    "Intake",
    "LiveOptions",
    "LiveSource",
    "Merge",
    "Outlet",
    "Reconnector",
]
