"""Notices of a node, as they come over MQTT."""

from __future__ import annotations

import json

from nrt import plain
from nrt.daemon.notice import Alarm, Decision, Notice, State, StateChange
from nrt.errors import ConfigError
from nrt.mqtt.connection import Message


def notice_from(message: Message) -> Notice | None:
    """The notice in a message, by its topic's last level; None for what is none."""
    kind = message.topic.rpartition("/")[2]
    try:
        data = json.loads(message.payload)
        if kind == "state":
            return StateChange(
                data["id"], float(data["time"]), data["pipeline"], State(data["state"]), data["reason"]
            )
        return plain.decode(Decision, data) if kind == "decisions" else plain.decode(Alarm, data)
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError):
        return None
