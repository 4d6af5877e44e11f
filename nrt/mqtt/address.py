"""How a broker is named: `mqtt://host[:port]`, `mqtts://` with TLS, and the options to connect with.

Secrets are never part of a URI: a password is read from the file that `password_file` names, when connecting.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict, Unpack
from urllib.parse import quote

from nrt.errors import ConfigError
from nrt.registry import option_types, options_for
from nrt.uri import Uri

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
"""The schemes and the ports registered for them (IANA: mqtt, secure-mqtt)."""

Version = Literal["auto", "5", "3.1.1"]


class Login(TypedDict, total=False):
    """The options of an `mqtt:` URI, and keys of the daemon's `[mqtt]` table."""

    username: str
    password_file: str
    ca_file: str
    cert_file: str
    key_file: str
    version: Version


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and how to connect to it.

    tls:           encrypted; also where `ca_file` or `cert_file` is given
    username, password_file: the password is the file's first line
    ca_file:       certificates to trust instead of the system's
    cert_file, key_file: the client's own certificate and key
    version:       of MQTT; "auto": 5 where the broker offers it, otherwise 3.1.1
    """

    host: str
    port: int
    tls: bool = False
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    version: Version = "auto"

    def __post_init__(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if bool(self.cert_file) != bool(self.key_file):
            raise ConfigError(f"{self}: a certificate and its key go together: cert_file and key_file")
        if self.password_file and not self.username:
            raise ConfigError(f"{self}: a password needs a username")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ConfigError(f"{self}: certificates need mqtts://")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"

    def password(self) -> str | None:
        """The password, None without a file for it. Raises ConfigError if the file cannot be read."""
        if not self.password_file:
            return None
        try:
            lines = Path(self.password_file).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self}: the password cannot be read: {error}") from error
        if not lines or not lines[0]:
            raise ConfigError(f"{self}: {self.password_file} is empty; its first line is the password")
        return lines[0]

    def context(self) -> ssl.SSLContext | None:
        """TLS as asked for, None without; reads the certificates. Raises ConfigError."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(f for f in (self.ca_file, self.cert_file, self.key_file) if f)
            raise ConfigError(f"{self}: the certificates ({files or 'of the system'}): {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """What `mqtt://host:port/node/name` names: a broker, a node on it, and a pipeline or device of that node."""

    broker: Broker
    node: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str, **login: Unpack[Login]) -> Address:
        """Raises ConfigError. Options of the URI come before those of `login`."""
        uri = Uri.parse(text)
        known = option_types(cls.parse)
        for option in uri.options:
            if option not in known:
                raise ConfigError(f"{uri.scheme}: has no option '{option}'; there is {', '.join(known)}")
        found: Login = {**login, **options_for(cls.parse, uri)}  # type: ignore[typeddict-item]
        return cls.of(uri, **found)

    @classmethod
    def of(cls, uri: Uri, **login: Unpack[Login]) -> Address:
        """The address in a URI whose options were read already. Raises ConfigError."""
        if uri.scheme not in PORTS or uri.wire:
            raise ConfigError(f"'{uri}' names no broker; write mqtt://host:port or mqtts://host:port")
        authority, *rest = uri.place.split("/")
        names = [each for each in rest if each]
        if len(names) > 2 or "@" in authority:
            raise ConfigError(
                f"'{uri}': write {uri.scheme}://host:port/node/name; a name and password go into the options "
                "username and password_file"
            )
        host, port = _host_port(authority, PORTS[uri.scheme])
        node, name = [*names, "", ""][:2]
        return cls(Broker(host, port, tls=uri.scheme == "mqtts", **login), node, name)

    def __str__(self) -> str:
        names = "".join(f"/{quote(each, safe='')}" for each in (self.node, self.name) if each)
        return f"{self.broker}{names}"


def _host_port(text: str, usual: int) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if not text.endswith("]") and ":" in text else (text, "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise ConfigError(f"'{text}' names no broker; write host or host:port")
    if not port:
        return host, usual
    if not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise ConfigError(f"'{text}': the port is a number from 1 to 65535")
    return host, int(port)
