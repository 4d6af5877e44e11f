"""Nodes and devices elsewhere, over MQTT: `nrt.connect("mqtt://host/node")`, `nrt.open("mqtt://host/node/device")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from nrt.mqtt.address import Login
    from nrt.remote.client import RemoteNode


def connect(uri: str, **login: Unpack[Login]) -> RemoteNode:
    """A node elsewhere, by `mqtt://host[:port]/node`; use it with `async with`.

    Raises ConfigError for what names no node, MissingDependency without the package for MQTT.
    """
    from nrt.remote.client import RemoteNode

    return RemoteNode(uri, **login)
