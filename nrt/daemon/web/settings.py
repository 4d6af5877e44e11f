"""What the table [web] of the daemon's configuration says, and whether that may be served."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrt.daemon.loopback import is_loopback
from nrt.daemon.table import Secret, Size
from nrt.errors import ConfigError

PORT: Final = 8470
SHORTEST: Final = 16
"""Characters that a token has at least: it cannot be guessed in the time that a box is in use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the daemon serves its pages, and to whom. Raises ConfigError, in one sentence, for what must not be.

    host, port:       the address to listen on; port 0 takes a free one
    token_file:       a file with the token that people and programs must give; not readable by everybody
    certificate_file, key_file: PEM files; with them only https is spoken
    client_ca_file:   PEM file of the authority whose certificates clients must show (mutual TLS)
    names:            further names under which browsers reach the daemon, such as "edge7.lab.example"
    upload:           the largest network that is taken
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token_file: Secret | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    names: tuple[str, ...] = ()
    upload: Size = Size(64_000_000)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not between 0 and 65535")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ConfigError("certificate_file and key_file belong together; give both or neither")
        if self.client_ca_file is not None and self.certificate_file is None:
            raise ConfigError("client_ca_file needs certificate_file and key_file: it is a matter of TLS")
        for path in (self.certificate_file, self.key_file, self.client_ca_file):
            if path is not None and not path.is_file():
                raise ConfigError(f"there is no file {path}")
        if self.token_file is not None:
            _check(self.token_file)
        elif not is_loopback(self.host) and self.client_ca_file is None:
            raise ConfigError(
                f"{self.host or 'every address'} can be reached from other machines, so token_file or "
                "client_ca_file must say who may steer this one"
            )


def _check(token: Secret) -> None:
    """Raises ConfigError for a token that can be guessed or read by others."""
    text = token.reveal()
    if len(text) < SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(
            f"the token in {token.path} must be one word of at least {SHORTEST} characters; "
            "`openssl rand -hex 24` makes one"
        )
    if token.path is not None and token.path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"everybody can read {token.path}; run chmod o-rwx on it")
