from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrt import spec
from nrt.cli.app import app

ROOT = Path(__file__).parents[3]
FILES = [str(file) for file in sorted((ROOT / "firmware_specs").glob("*.toml"))]
GOOD = ROOT / "firmware_specs" / "tinyodin.toml"


def nrt(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `nrt spec …`."""
    done = CliRunner().invoke(app, ["spec", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_check_says_ok_for_each_file() -> None:
    code, out, err = nrt("check", *FILES)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(FILES)
    assert f"{GOOD}: ok, 10 vectors, hash {spec.load('tinyodin').hash[:8]}\n" in out


def test_check_names_every_mistake_and_goes_on_to_the_next_file(tmp_path: Path) -> None:
    text = GOOD.read_text(encoding="utf-8")
    shape, vectors = tmp_path / "shape.toml", tmp_path / "vectors.toml"
    shape.write_text(text.replace("width = 20", "width = 99", 1), encoding="utf-8")
    vectors.write_text(
        text.replace('hex = "253"', 'hex = "254"').replace('hex = "C8"', 'hex = "C9"'), encoding="utf-8"
    )
    code, out, err = nrt("check", str(shape), str(vectors), str(tmp_path / "none.toml"), str(GOOD))
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 4
    line = text.splitlines().index("width = 20") + 1
    assert lines[0] == f"{shape}:{line}: words.spi_config_write.width must be at most 64"
    assert lines[1].endswith("aer_virtual unpacks to weight = 5, neuron = 4, not weight = 5, neuron = 3")
    assert lines[2].endswith("SPI_MAX_NEUR unpacks to value = 201, not value = 200")
    assert "none.toml: No such file" in lines[3]
    assert out.startswith(f"{GOOD}: ok")


def test_wrong_usage_is_exit_code_2() -> None:
    assert nrt("check")[0] == 2
    assert nrt("chek")[0] == 2


@pytest.mark.parametrize("name", spec.names())
def test_show_tells_every_word_register_limit_and_quirk(name: str) -> None:
    code, out, _ = nrt("show", name)
    found = spec.load(name)
    assert code == 0
    shown = "".join(out.split())
    for things in (
        found.words,
        found.registers,
        found.memories,
        found.records,
        found.limits,
        found.provenance,
    ):
        assert [each for each in things if each not in shown] == []
    for quirk in found.quirks:
        assert quirk.id in shown
    assert found.hash[:8] in out


def test_show_as_json_is_the_definition_and_its_hash() -> None:
    code, out, _ = nrt("show", str(GOOD), "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["hash"] == spec.load("tinyodin").hash
    assert shown["definition"]["registers"]["SPI_MAX_NEUR"]["address"] == 3


def test_a_file_as_windows_writes_it_is_the_same_definition(tmp_path: Path) -> None:
    file = tmp_path / "tinyodin.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.read_bytes().replace(b"\n", b"\r\n"))
    assert json.loads(nrt("show", str(file), "--json")[1]) == json.loads(nrt("show", "tinyodin", "--json")[1])
    file.write_bytes(file.read_bytes().replace(b"width = 20", b"width = 99", 1))
    line = GOOD.read_text(encoding="utf-8").splitlines().index("width = 20") + 1
    assert nrt("check", str(file))[2].startswith(f"{file}:{line}: ")


def test_list_has_every_definition() -> None:
    code, out, _ = nrt("list", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == list(spec.names())
    assert all(name in nrt("list")[1] for name in spec.names())


def test_docs_prints_the_page() -> None:
    code, out, _ = nrt("docs")
    assert code == 0
    assert out.startswith("<!-- Written by")
    assert all(f"## {spec.load(name).title}\n" in out for name in spec.names())
