"""aiomqtt, which is asyncio-mqtt under its new name, or what to install where it is missing."""

from __future__ import annotations

from nrt.errors import MissingDependency

try:
    import aiomqtt
    from aiomqtt.exceptions import MqttConnectError
except ModuleNotFoundError as error:
    raise MissingDependency("MQTT", "aiomqtt", "daemon") from error

__all__ = ["MqttConnectError", "aiomqtt"]
