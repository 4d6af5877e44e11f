"""What may be served, and the sentence for what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrt.daemon.loopback import is_loopback
from nrt.daemon.table import Secret
from nrt.daemon.web.settings import Settings
from nrt.errors import ConfigError

GOOD = "a2f5c8e1b4d7a0c3"


def secret(folder: Path, text: str, mode: int = 0o600) -> Secret:
    path = folder / "token"
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
    return Secret(text, path)


def test_by_default_only_this_machine_is_served_and_no_token_is_asked_for() -> None:
    assert is_loopback(Settings().host)
    assert Settings().token_file is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "edge.lab"])
def test_an_address_that_others_reach_needs_a_token_or_an_authority(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="token_file or client_ca_file must say who may steer"):
        Settings(host=host)
    Settings(host=host, token_file=secret(tmp_path, GOOD))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    Settings(host=host)


@pytest.mark.parametrize("text", ["short", "two words and more", "x" * 15, "ümlauts-are-not-ascii"])
def test_a_token_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="one word of at least 16 characters"):
        Settings(token_file=Secret(text, None))


def test_a_token_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"everybody can read .*token; run chmod o-rwx"):
        Settings(token_file=secret(tmp_path, GOOD, 0o644))


def test_half_a_tls_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    with pytest.raises(ConfigError, match="belong together"):
        Settings(certificate_file=file)
    with pytest.raises(ConfigError, match="client_ca_file needs certificate_file"):
        Settings(client_ca_file=file)
    with pytest.raises(ConfigError, match="there is no file"):
        Settings(certificate_file=file, key_file=tmp_path / "none")
