from __future__ import annotations

import json
from pathlib import Path

import pytest

from nrt.cli.show import show_registry

PLUGINS = """[nrt.devices]
needy = package_that_is_not_there:Device
broken = plugin_of_the_test:NoSuchClass
"""


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution of somebody else with two devices, neither of which can be used."""
    info = tmp_path / "somebody-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(PLUGINS)
    (tmp_path / "plugin_of_the_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)


def test_what_to_install_is_printed_with_its_extra_in_brackets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    show_registry(json=False)
    assert "pip install 'nrt-runtime[all]'" in capsys.readouterr().out


def test_a_broken_plugin_does_not_hide_the_other_devices(capsys: pytest.CaptureFixture[str]) -> None:
    show_registry(json=True)
    status = {row["scheme"]: row["status"] for row in json.loads(capsys.readouterr().out)["devices"]}
    assert "NoSuchClass" in status["broken:"]
    assert status["cpu:"] == "ready"
