"""MQTT for the daemon: `[mqtt]` connects a node to a broker, `[broker]` runs one inside the daemon."""

from __future__ import annotations

from nrt.daemon.mqtt.broker import Broker
from nrt.daemon.mqtt.service import Link

__all__ = ["Broker", "Link"]
