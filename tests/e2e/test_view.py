"""`nrt view` as a person runs it: in a terminal, in a pipe, interrupted."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

from tests.e2e.conftest import environment

SCENE = "synth:bar?sensor=dvs128&seconds=60"
LIMIT = 60.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nrt", "view", *arguments]


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """What a terminal was sent until `wanted` is part of it."""
    found, deadline = b"", time.monotonic() + LIMIT
    while wanted not in found and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            try:
                found += os.read(descriptor, 1 << 16)
            except OSError:  # the other side is closed
                break
    assert wanted in found, found[-2_000:]
    return found


def test_a_pipe_gets_the_totals_alone() -> None:
    done = subprocess.run(
        command(SCENE, "--for", "200ms", "--json"), capture_output=True, env=environment(), timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)
    assert totals["stream_us"] == 200_000
    assert totals["events"] > 1_000
    assert totals["lost"] == 0


def test_a_terminal_shows_the_picture_until_it_is_interrupted() -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(SCENE),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment(), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "30"},
    )
    os.close(slave)
    try:
        shown = read_until(master, b"ev/s").decode(errors="replace")
        assert "▀▀▀▀" in shown
        read_until(master, b"late p50")
        process.send_signal(signal.SIGINT)
        assert b"stopped by the user" in read_until(master, b"stopped by the user")
        process.wait(LIMIT)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_source_of_unknown_size_is_refused_in_one_sentence() -> None:
    done = subprocess.run(
        command("spif://127.0.0.1:45991"), capture_output=True, text=True, env=environment(), timeout=LIMIT
    )
    assert done.returncode != 0
    assert "does not say how large its sensor is" in done.stderr
    assert "Traceback" not in done.stderr
