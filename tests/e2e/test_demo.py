from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from tests.e2e.conftest import Nrt, environment

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Tags that are open, all that was seen, and what would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [
            f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_demo_reads_digits_in_real_time(nrt: Nrt, tmp_path: Path) -> None:
    done = nrt("demo", "--json", "--digits", "20")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {"accuracy", "episodes", "report"}
    assert result["accuracy"] >= 0.9
    assert result["episodes"] == 20
    assert result["report"]["latency"]["since"] == "schedule"
    assert result["report"]["stream_s"] == 3.2
    assert result["report"]["error"] == ""


def test_without_a_terminal_the_demo_is_short_plain_text(nrt: Nrt, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = nrt("demo", "--digits", "5", "--html", page)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) < 40
    assert re.search(r"\d of 5 digits right", done.stdout)
    assert "latency (schedule)" in done.stdout
    assert done.stdout.splitlines()[-1] == f"plots: {page}"


def test_the_page_loads_nothing_and_shows_pictures_spikes_latency_and_report(
    nrt: Nrt, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    assert nrt("demo", "--digits", "5", "--html", path, "--json").returncode == 0
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.seen)
    assert "url(" not in text
    assert "@import" not in text
    assert page.seen.count("svg") == 5 + 1 + 2  # digits, raster, histogram and accuracy
    for word in ("latency histogram", "running accuracy", "output spikes over time", "network", "cpu:"):
        assert word in page.texts
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_on_a_terminal_the_demo_shows_picture_raster_and_figures(tmp_path: Path) -> None:
    far, near = pty.openpty()
    command = [sys.executable, "-m", "nrt", "demo", "--digits", "10"]
    settings = {**environment(), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=near, stdout=near, stderr=near, env=settings, cwd=tmp_path)
    os.close(near)
    shown = b""
    with contextlib.suppress(OSError):  # the far end is gone
        while piece := os.read(far, 1 << 16):
            shown += piece
    os.close(far)
    assert process.wait(timeout=60) == 0, shown.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    for word in ("▀▀▀▀", "output spikes", " shown", " read", "digit 10 of 10", "latency p50", "digits right"):
        assert word in text, word
    assert (tmp_path / "nrt-demo.html").exists()


def test_ctrl_c_ends_the_demo_with_the_report_and_page_of_what_was_read(tmp_path: Path) -> None:
    far, near = pty.openpty()
    command = [sys.executable, "-m", "nrt", "demo", "--digits", "500"]
    settings = {**environment(), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=near, stdout=near, stderr=near, env=settings, cwd=tmp_path, start_new_session=True
    )
    os.close(near)
    shown = b""
    pressed = False
    with contextlib.suppress(OSError):  # the far end is gone
        while piece := os.read(far, 1 << 16):
            shown += piece
            if not pressed and re.search(rb"digit ([3-9]|\d\d+) of 500", shown):
                os.killpg(process.pid, signal.SIGINT)
                pressed = True
    os.close(far)
    assert process.wait(timeout=60) == 0, shown.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    found = re.search(r"(\d+) of (\d+) digits right", text)
    assert found
    assert 2 <= int(found[2]) < 500
    assert "stopped by the user" in text
    assert (tmp_path / "nrt-demo.html").exists()


def test_other_devices_read_too_and_share_the_time(nrt: Nrt) -> None:
    done = nrt("demo", "--json", "--digits", "8", "--on", "cpu:", "--on", "null:", "--on", "tpu:")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["episodes"] == 2
    null, failed = result["others"]
    assert null["report"]["device"] == "null:"
    assert null["accuracy"] == 0
    assert failed["device"] == "tpu:"
    assert "there is cpu:" in failed["error"]


def test_a_page_that_cannot_be_written_is_refused_before_anything_runs(nrt: Nrt, tmp_path: Path) -> None:
    done = nrt("demo", "--html", tmp_path / "no" / "page.html")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("nrt: --html ")
    assert len(done.stderr.splitlines()) == 1


def test_a_device_that_does_not_exist_is_one_sentence(nrt: Nrt) -> None:
    done = nrt("demo", "--json", "--on", "tpu:")
    assert done.returncode == 1
    assert "there is cpu:" in done.stderr
    assert len(done.stderr.splitlines()) == 1
