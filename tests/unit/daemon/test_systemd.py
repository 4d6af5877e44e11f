"""What systemd is told, over a real socket, and what it says of the unit."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from nrt.daemon.systemd import Notifier, unit


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The service manager's end."""
    path = tmp_path / "notify"
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(10)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    return made


def test_the_manager_is_told(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.status("two\nlines " + "x" * 500)
    notifier.alive()
    notifier.stopping()
    with manager:
        assert manager.recv(4_096) == b"READY=1"
        status = manager.recv(4_096)
        assert status.startswith(b"STATUS=two lines xxx")
        assert b"\n" not in status
        assert manager.recv(4_096) == b"WATCHDOG=1"
        assert manager.recv(4_096) == b"STOPPING=1"
        notifier.reloading()
        message = manager.recv(4_096).decode()
    assert message.startswith("RELOADING=1\nMONOTONIC_USEC=")
    notifier.alive()  # nobody listens any more
    notifier.close()
    notifier.alive()


def test_an_abstract_socket_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"nrt-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind("\0" + name)
        made.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notifier = Notifier()
        notifier.ready()
        assert made.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", None, 30.0),
        ("30000000", "1", None),
        ("x", None, None),
        (None, None, None),
        ("0", None, None),
    ],
)
def test_how_often_the_watchdog_wants_to_be_fed(
    manager: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    usec: str | None,
    pid: str | None,
    interval: float | None,
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    notifier = Notifier()
    assert notifier.interval == interval
    notifier.close()
    manager.close()


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "vsock:2:1"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notifier = Notifier()
        notifier.ready()
        assert notifier.interval is None
        notifier.close()


def test_the_unit_names_this_nrt_and_that_configuration(tmp_path: Path) -> None:
    text = unit(tmp_path / "my.toml")
    assert f"serve --config {tmp_path}/my.toml\n" in text
    assert "/usr/bin/nrt " not in text or shutil.which("nrt") == "/usr/bin/nrt"
    for line in (
        "Type=notify",
        "WatchdogSec=30",
        "DynamicUser=yes",
        "StateDirectory=nrt",
        "NoNewPrivileges=yes",
    ):
        assert line in text
    assert "ProtectHome=yes" in unit(Path("/etc/nrt/edge.toml")) or "/root/" in text or "/home/" in text
    assert "ProtectHome=read-only" in unit(Path("/home/somebody/edge.toml"))


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here (Debian's package systemd)")
    path = tmp_path / "nrt.service"
    path.write_text(unit(), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    rated = subprocess.run(
        [program, "security", "--offline=true", "--threshold=25", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-400:]  # exposure of at most 2.5 of 10
