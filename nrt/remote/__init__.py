"""Nodes and devices elsewhere, over MQTT: `nrt.connect("mqtt://host/node")`, `nrt.open("mqtt://host/node/device")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from nrt.mqtt.address import Login
    from nrt.remote.node import RemoteNode


def connect(uri: str, *, keep: str = "", prefix: str = "nrt", **login: Unpack[Login]) -> RemoteNode:
    """A node elsewhere, by `mqtt://host[:port]/node`; use it with `async with`.

    keep: a name under which the broker keeps decisions and alarms for this client while it is away
    prefix: first level of the node's topics · login: as `nrt.mqtt.address.Broker` has it
    Raises ConfigError for what names no node, MissingDependency without the package for MQTT.
    """
    from nrt.remote.node import RemoteNode

    return RemoteNode(uri, keep=keep, prefix=prefix, **login)
