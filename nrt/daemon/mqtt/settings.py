"""What may stand in the tables `[mqtt]` and `[broker]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrt.daemon.loopback import is_loopback
from nrt.daemon.table import Size
from nrt.errors import ConfigError
from nrt.mqtt import address
from nrt.mqtt.address import Address, Login, Version
from nrt.mqtt.topics import PREFIX
from nrt.registry import Duration

EVERY: Final = "*"
"""In `spikes`: of every pipeline."""
_LEVEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """[mqtt]. broker: mqtt://host:port, or mqtts:// for TLS.

    username, password_file, ca_file, cert_file, key_file, version: as in `nrt.mqtt.address.Broker`
    prefix:    first level of every topic
    commands:  whether commands and sessions with devices are taken from MQTT at all
    rate:      messages a second that are read at most; a flood of more waits at the broker
    stats:     how often figures are sent
    spikes:    pipelines whose spikes are sent, "*" for all · spikes_every: how often
    spool:     bytes of decisions and alarms that wait for the broker; the oldest make room and are counted
    discovery: the prefix under which Home Assistant looks for new entities (homeassistant); "": not announced
    """

    broker: str = "mqtt://127.0.0.1:1883"
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    version: Version = "auto"
    prefix: str = PREFIX
    commands: bool = True
    rate: int = 2_000
    stats: Duration = Duration(1_000_000)
    spikes: tuple[str, ...] = ()
    spikes_every: Duration = Duration(50_000)
    spool: Size = Size(64_000_000)
    discovery: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        self.address()
        if not _LEVEL.fullmatch(self.prefix):
            raise ConfigError("prefix is one level of a topic: letters, digits, -, _ and .")
        if self.discovery and not _LEVEL.fullmatch(self.discovery):
            raise ConfigError("discovery is one level of a topic, such as homeassistant")
        if self.rate < 1:
            raise ConfigError("rate must be at least 1 message a second")
        if min(self.stats, self.spikes_every) < 1_000:
            raise ConfigError("stats and spikes_every must be at least 1ms")
        if self.spool < 10_000:
            raise ConfigError("spool must be at least 10kB")

    def address(self) -> address.Broker:
        """The broker and how to connect to it. Raises ConfigError."""
        login: Login = {"username": self.username, "version": self.version}
        if self.password_file is not None:
            login["password_file"] = str(self.password_file)
        if self.ca_file is not None:
            login["ca_file"] = str(self.ca_file)
        if self.cert_file is not None:
            login["cert_file"] = str(self.cert_file)
        if self.key_file is not None:
            login["key_file"] = str(self.key_file)
        found = Address.parse(self.broker, **login)
        if found.node:
            raise ConfigError(f"broker is '{self.broker}'; write {found.broker}, the node's name is its own")
        return found.broker


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """[broker]: a broker inside the daemon, for people without one; amqtt, which speaks MQTT 3.1.1.

    host, port: where it listens. Beyond loopback it wants TLS and passwords:
    cert_file, key_file: its certificate · password_file: lines of name:hash, as `mosquitto_passwd`'s sibling
    `amqtt` has them (Argon2)
    """

    host: str = "127.0.0.1"
    port: int = 1883
    cert_file: Path | None = None
    key_file: Path | None = None
    password_file: Path | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        if not 0 < self.port < 65_536:
            raise ConfigError("port is a number from 1 to 65535")
        if (self.cert_file is None) != (self.key_file is None):
            raise ConfigError("a certificate and its key go together: cert_file and key_file")
        if not is_loopback(self.host) and (self.cert_file is None or self.password_file is None):
            raise ConfigError(
                f"a broker on {self.host} is open to others; give cert_file, key_file and password_file, or leave "
                "it on 127.0.0.1"
            )
