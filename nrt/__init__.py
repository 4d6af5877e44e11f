"""nrt: stream events from a camera through a spiking network on whatever there is, and measure it.

```python
import nrt

async with nrt.open("cpu:") as device:
    await device.deploy("network.nir")
    report = await device.run("recording.raw")
```
"""

from __future__ import annotations

from nrt.device import Counters, Device, Energy, Placement
from nrt.errors import (
    BadPackage,
    BadRecording,
    ConfigError,
    DeployError,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    DoesNotFit,
    MissingDependency,
    NotFound,
    NrtError,
    Overrun,
    ProtocolError,
    SpecError,
    StreamError,
    Unsupported,
)
from nrt.network import Encoding, Network, Semantics
from nrt.packet import EVENT, MEMBRANE, SPIKE, Packet
from nrt.remote import connect
from nrt.report import Report
from nrt.run import Run
from nrt.session import Session, open
from nrt.source import Source
from nrt.version import __version__

__all__ = [
    "EVENT",
    "MEMBRANE",
    "SPIKE",
    "BadPackage",
    "BadRecording",
    "ConfigError",
    "Counters",
    "DeployError",
    "Device",
    "DeviceBusy",
    "DeviceError",
    "DeviceLost",
    "DeviceTimeout",
    "DoesNotFit",
    "Encoding",
    "Energy",
    "MissingDependency",
    "Network",
    "NotFound",
    "NrtError",
    "Overrun",
    "Packet",
    "Placement",
    "ProtocolError",
    "Report",
    "Run",
    "Semantics",
    "Session",
    "Source",
    "SpecError",
    "StreamError",
    "Unsupported",
    "__version__",
    "connect",
    "open",
]
