"""The page on writing a driver, as a newcomer would follow it: its files in a folder, its tests run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, environment

PAGE = (ROOT / "docs/writing-a-driver.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The page's files, and what pip would write of its pyproject.toml."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    described = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = tmp_path / "lif16-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: 1.0\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items())
        for group, rows in described["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    return tmp_path


def _run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = environment()
    settings["PYTHONPATH"] += os.pathsep + str(project)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=settings,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_driver_of_the_page_is_short() -> None:
    assert len([line for line in FILES["lif16.py"].splitlines() if line.strip()]) < 150


def test_the_device_of_the_page_passes_the_conformance_tests_also_when_named_on_pytests_command_line(
    project: Path,
) -> None:
    done = _run(project, "-m", "pytest", "-q", "--device", "lif16+emu:")
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 60


def test_the_definition_of_the_page_is_valid(project: Path) -> None:
    done = _run(project, "-m", "nrt", "spec", "check", "lif16.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_device_is_listed(project: Path) -> None:
    done = _run(project, "-m", "nrt", "devices")
    assert re.search(r"lif16:.*from lif16", done.stdout), done.stdout + done.stderr
