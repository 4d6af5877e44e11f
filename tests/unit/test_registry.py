from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from nrt import registry
from nrt.errors import ConfigError, MissingDependency, NotFound
from nrt.registry import Uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("cpu:", Uri("cpu")),
        ("cuda:0", Uri("cuda", place="0")),
        (
            "tinyodin+serial:///dev/ttyACM0?baud=2000000",
            Uri("tinyodin", "serial", "/dev/ttyACM0", {"baud": "2000000"}),
        ),
        ("file:a%20b.raw?speed=1", Uri("file", place="a b.raw", options={"speed": "1"})),
    ],
)
def test_a_uri_is_taken_apart(text: str, uri: Uri) -> None:
    assert Uri.parse(text) == uri


@pytest.mark.parametrize("text", ["", "cpu", "C:\\a.raw", "1x:", "cpu:?a"])
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Uri.parse(text)


def test_an_unknown_device_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="cpu:") as caught:
        registry.device("gpu:")
    assert "cpu" in caught.value.known


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no option 'depht'; there is depth"):
        registry.device("null:?depht=3")


def test_an_option_of_the_wrong_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="option depth: 'many' is not a whole number"):
        registry.device("null:?depth=many")


class Shared(TypedDict, total=False):
    packet: registry.Duration | None
    strict: bool


def test_options_that_a_class_passes_on_are_its_own_too() -> None:
    class Made:
        def __init__(self, uri: Uri, *, depth: int = 1, **rest: Unpack[Shared]) -> None:
            self.given = {"depth": depth, **rest}

    assert registry.option_names(Made) == ["depth", "packet", "strict"]
    uri = Uri("made", options={"packet": "2ms", "strict": "yes", "other": "1"})
    assert Made(uri, **registry.options_for(Made, uri)).given == {"depth": 1, "packet": 2_000, "strict": True}


def test_a_path_is_a_file_source_even_with_options(tmp_path: Path) -> None:
    assert registry.source(tmp_path / "a.raw").uri == f"file:{tmp_path}/a.raw"
    assert registry.source(f"{tmp_path}/a.raw?speed=2").uri == f"file:{tmp_path}/a.raw?speed=2"


def test_a_missing_package_is_answered_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.Entry("a_package_nobody_has.module:Class", "a chip", "a_package_nobody_has", "chips")
    with pytest.raises(MissingDependency, match=r"a_package_nobody_has.*nrt-runtime\[chips\]"):
        registry.load(entry)
