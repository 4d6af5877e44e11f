"""What Home Assistant is told of a node, so that it shows it without being configured.

One retained message for each entity, `<prefix>/<component>/<object>/config`, as Home Assistant's documentation of MQTT
discovery has it: per pipeline its state, counts, latency and last decision, and buttons to start, stop and restart it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from nrt.mqtt.topics import Topics

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_SENSORS: Final = (
    ("state", "state", "state", "value_json.state", ""),
    ("decision", "decision", "decisions", "value_json.label or value_json.winner", ""),
    ("events", "events", "stats", "value_json.events", "events"),
    ("lost", "lost events", "stats", "value_json.lost", "events"),
    ("latency", "latency p99", "stats", "value_json.latency.p99 if value_json.latency else none", "ms"),
    ("temperature", "temperature", "stats", "value_json.temperature", "°C"),
)
"""Object, name, topic, template, unit."""
_COMMAND: Final = (
    '{"id": "ha-{{ now().timestamp() }}", "client": "homeassistant", "pipeline": %s, "arguments": {}}'
)
"""Every press is a command with an id of its own."""


def entities(node: Node, topics: Topics, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of every entity of the node."""
    for pipeline in node.pipelines:
        for name, title, topic, template, unit in _SENSORS:
            sensor = {
                "name": title,
                "state_topic": topics.of(pipeline, topic),
                "value_template": f"{{{{ {template} }}}}",
            }
            yield _entity(node, topics, prefix, pipeline, "sensor", name, sensor | _unit(unit))
        for verb in ("start", "stop", "restart"):
            button = {
                "name": verb,
                "command_topic": topics.request(verb),
                "command_template": _COMMAND % json.dumps(pipeline),
            }
            yield _entity(node, topics, prefix, pipeline, "button", verb, button)


def _unit(unit: str) -> dict[str, str]:
    if not unit:
        return {}
    total = {"state_class": "total_increasing"} if unit == "events" else {"state_class": "measurement"}
    return {"unit_of_measurement": unit, **total}


def _entity(
    node: Node, topics: Topics, prefix: str, pipeline: str, component: str, name: str, about: dict[str, Any]
) -> tuple[str, bytes]:
    object_id = f"nrt_{node.name}_{pipeline}_{name}"
    config = {
        **about,
        "unique_id": object_id,
        "object_id": object_id,
        "availability_topic": topics.state,
        "availability_template": "{{ 'online' if value == 'ready' else 'offline' }}",
        "device": {
            "identifiers": [f"nrt_{node.name}_{pipeline}"],
            "name": f"{node.name} {pipeline}",
            "manufacturer": "nrt",
            "model": "pipeline",
        },
    }
    return f"{prefix}/{component}/{object_id}/config", json.dumps(config).encode()
