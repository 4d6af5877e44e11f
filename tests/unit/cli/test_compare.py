from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nrt.cli.app import app
from nrt.compare import Comparison
from nrt.errors import NrtError
from nrt_sim.models import digits

NET = str(digits())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments])


def refused(*arguments: str) -> str:
    """The sentence with which a command ends."""
    done = run(*arguments)
    assert done.exit_code != 0
    return str(done.exception) if isinstance(done.exception, NrtError) else done.output


def read(done: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_labelled_data_set_is_compared_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    done = run(
        NET, "--data", "digits", "--limit", "4", "--on", "cpu:", "--on", "loihi2+sim:", "--out", str(out)
    )
    assert done.exit_code == 0, done.output
    assert "loihi2+sim: against cpu:" in done.stdout
    found = Comparison.read(out)
    assert [each.accuracy is not None and each.accuracy.of for each in found.devices] == [4, 4]
    assert [each.delay.steps for each in found.pairs[0].populations] == [1, 2, 3]
    assert len({each.label for each in found.recordings}) == 4
    assert found.sources == ("digits",)
    assert found.reading["path"] == str(digits())


def test_what_fails_is_listed_and_the_exit_code_says_so() -> None:
    arguments = ("--from", "digit:3", "--from", "lost.raw", "--on", "cpu:", "--on", "tinyodin+emu:", "--json")
    done = run(NET, *arguments)
    assert done.exit_code == 1
    found = read(done)
    assert "addresses" in found["devices"][1]["error"]
    assert [bool(each["error"]) for each in found["recordings"]] == [False, True]
    assert found["devices"][0]["recordings"] == 1


def test_no_device_at_all_is_an_error() -> None:
    assert "no device ran" in refused(NET, "--from", "digit:3", "--on", "nothing:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((NET, "--from", "digit:3"), "on which devices"),
        ((NET, "--on", "cpu:"), "either --from or --data"),
        ((NET, "--on", "cpu:", "--from", "digit:3", "--data", "digits"), "either --from or --data"),
        ((NET, "--on", "cpu:", "--from", "digit:3", "--out", "found.txt"), ".json or .html"),
        ((NET, "--on", "cpu:", "--from", "digit:3", "--out", "/no/where/found.json"), "no folder"),
        ((NET, "--on", "cpu:", "--from", "digit:3", "--tolerance", "1500us"), "whole steps"),
        ((NET, "--on", "cpu:", "--data", "nothing-of-the-kind"), "no data set"),
        (("a.json", "b.json", "c.json"), "two reports"),
        (("a.json", "b.json"), "No such file"),
        (("a.json", "b.json", "--on", "cpu:"), "without --from"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(refused(*arguments).replace("│", " ").split())


def test_two_reports_of_runs_are_compared(tmp_path: Path) -> None:
    reports: list[str] = []
    for name, source in (("a", "digit:3"), ("b", "digit:3"), ("c", "digit:4")):
        reports.append(str(tmp_path / f"{name}.json"))
        ran = CliRunner().invoke(app, ["run", NET, "--from", source, "--report", reports[-1]])
        assert ran.exit_code == 0, ran.output
    same = run(*reports[:2], "--json")
    assert same.exit_code == 0, same.output
    assert read(same)["equal"] is True
    assert "different sources (digit:3 and digit:4)" in refused(reports[0], reports[2])


def test_a_page_is_written(tmp_path: Path) -> None:
    out = tmp_path / "found.html"
    done = run(NET, "--from", "digit:3", "--on", "cpu:", "--on", "reference:", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_ladder_stands_beside_the_comparison() -> None:
    done = run(
        NET, "--data", "digits", "--limit", "2", "--on", "cpu:", "--on", "loihi2+sim:", "--ladder", "--json"
    )
    assert done.exit_code == 0, done.output
    found = read(done)
    assert found["ladder"]["device"] == "loihi2+sim:"
    assert Comparison.from_dict(found).ladder is not None
