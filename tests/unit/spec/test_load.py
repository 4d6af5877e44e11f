from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nrt import spec
from nrt.errors import NotFound, SpecError

ROOT = Path(__file__).parents[3]


def test_a_definition_is_found_by_name_and_by_path() -> None:
    by_name, by_path = spec.load("tinyodin"), spec.load(ROOT / "firmware_specs" / "tinyodin.toml")
    assert by_name.hash == by_path.hash
    assert spec.load(str(ROOT / "firmware_specs" / "tinyodin.toml")).name == "tinyodin"
    assert spec.load("tinyodin") is by_name


def test_what_is_not_there_lists_what_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no definition loihi9; there are .*tinyodin"):
        spec.load("loihi9")
    with pytest.raises(NotFound, match="no definition \\.\\./tinyodin"):
        spec.load("../tinyodin")
    with pytest.raises(NotFound, match=r"cannot read .*: No such file"):
        spec.load(tmp_path / "none.toml")
    with pytest.raises(NotFound, match=r"cannot read .*: Is a directory"):
        spec.load(tmp_path)


def test_a_file_that_is_no_text_says_in_which_line(tmp_path: Path) -> None:
    file = tmp_path / "chip.toml"
    file.write_bytes(b"[identity]\nname = '\xff'\n")
    with pytest.raises(SpecError, match=r"chip\.toml:2: this line is not UTF-8"):
        spec.load(file)


def test_look_ups_of_what_is_not_there_list_what_is() -> None:
    chip = spec.load("tinyodin")
    with pytest.raises(NotFound, match=r"the definition of tinyodin has no word aer; it has .*aer_virtual"):
        chip.word("aer")
    with pytest.raises(NotFound, match="no limit cores in the definition") as caught:
        chip.limit("cores")
    assert "neurons" in caught.value.known
    with pytest.raises(NotFound, match=r"no transport\.spi baud"):
        chip.wire("spi").integer("baud")
    with pytest.raises(NotFound, match=r"transport\.spi order is not an integer"):
        chip.wire("spi").integer("order")
    with pytest.raises(NotFound, match="spi_space has no weights"):
        chip.enum("spi_space")["weights"]
    assert chip.limits.get("cores") is None
    assert "cores" not in chip.limits
    assert dict(chip.limits)["neurons"] == 256


def test_loading_needs_nothing_but_numpy_and_the_standard_library() -> None:
    code = (
        "import sys, nrt.spec; nrt.spec.load('tinyodin');"
        "print([n for n in ('numba', 'jsonschema', 'rich', 'typer', 'h5py') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
