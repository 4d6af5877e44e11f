from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import ROOT, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs_as_it_stands(data: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "cnn_sinabs.nir").symlink_to(data / "nir/cnn_sinabs.nir")
    (tmp_path / "recording.bin").symlink_to(data / "events/tonic_sample_nmnist.bin")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "class 4"


def test_every_page_and_file_that_the_readme_names_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_verbs_of_the_readme_are_those_of_the_command_line() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "nrt", "--help"], capture_output=True, text=True, env=environment(), check=True
    ).stdout
    for verb in re.findall(r"^\| `nrt (\w+)", README, re.MULTILINE):
        assert verb in help_text
