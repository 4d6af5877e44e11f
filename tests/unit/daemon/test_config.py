"""Every mistake of a configuration is told at once, with its line; secrets come from files and never show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nrt.daemon.config import Config, load
from nrt.daemon.table import Secret
from nrt.errors import ConfigError

GOOD = """
[node]
name = "edge-1"
data = "data"

[[pipeline]]
name = "eye"
source = "drip:"
network = "network.nir"
decide = "200ms"
labels = ["a", "b"]
reading = { encoding = { pool = 1 } }

[[pipeline.record]]
size = "1MB"
most = "10MB"
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "edge.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def mistakes(folder: Path, text: str) -> list[str]:
    """The sentences, without the path."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [line.partition("edge.toml")[2].lstrip(":") for line in str(caught.value).splitlines()]


def test_what_it_says_is_read(network: Path) -> None:
    config = read(network.parent, GOOD)
    (eye,) = config.pipelines
    assert (config.node.name, config.node.folder) == ("edge-1", network.parent / "data")
    assert (eye.name, eye.decide, eye.labels) == ("eye", 200_000, ("a", "b"))
    assert eye.network == network
    assert eye.reading.encoding == {"pool": "1"}
    assert (eye.record[0].size, eye.record[0].most) == (1_000_000, 10_000_000)
    assert eye.start
    assert config.tables == {}


def test_equal_texts_are_equal_configurations(network: Path) -> None:
    assert read(network.parent, GOOD) == read(network.parent, GOOD + "\n# a comment\n")


def test_every_mistake_is_told_with_its_line(network: Path) -> None:
    found = mistakes(
        network.parent,
        "\n".join(
            [
                "[node]",  # 1
                'name = "No Good"',
                "[[pipeline]]",
                'name = "eye"',
                'source = "drop:"',  # 5
                'network = "none.nir"',
                'decide = "0.2"',
                "colour = 1",
                'silence = "0s"',
                "[nonsense]",  # 10
                "[[pipeline]]",
                'name = "eye"',
                'source = "drip:?speed=1"',
                'network = "network.nir"',
                'device = "cpux:"',  # 15
                'taps = ["z"]',
                "[[pipeline.record]]",
                'format = "zip"',
                "[[pipeline.send]]",
                'to = "mqtt://x"',  # 20
                "[log]",
                'level = "loud"',
                "[[pipeline]]",
                'name = "third"',
            ]
        ),
    )
    lines = [int(each.partition(":")[0]) for each in found]
    assert lines == sorted(lines)
    told = dict(zip(lines, found, strict=False))
    assert "'No Good'" in told[1]
    assert "must be a duration, such as 200ms" in told[7]
    assert "no key 'colour'" in told[8]
    assert "no table 'nonsense'" in told[10]
    assert "there is a second 'eye'" in told[12]
    assert "no option 'speed'" in told[13]
    assert "cpux" in told[15]
    assert "format is 'zip'" in told[17]
    assert "spif://host:port" in told[19]
    assert "'loud'; it can be debug, info, warning, error" in told[22]
    assert "needs source" in "".join(found)
    assert "needs network" in "".join(found)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[[[", 1, ""),
        ("[node]\nname = 3", 2, "must be a text"),
        ("node = 3", 1, "must be a table"),
        ("pipeline = 3", 1, "[[pipeline]]"),
        ("[node]\n", 1, "no [[pipeline]]"),
        ('[node]\nreports = 0\n[[pipeline]]\nname="a"', 1, "reports is 0"),
        ('[node]\ndata = "$NOT_SET_ANYWHERE/x"', 2, "$NOT_SET_ANYWHERE, which is not set"),
    ],
)
def test_what_is_no_configuration_is_refused_in_a_sentence(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    found = mistakes(tmp_path, text)
    assert any(each.startswith(f"{line}:") and words in each for each in found), found


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * (2 << 20), b"a = " + b"[" * 5_000])
def test_what_is_no_text_or_too_much_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "edge.toml").write_bytes(data)
    with pytest.raises(ConfigError):
        load(tmp_path / "edge.toml")
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


def test_a_network_that_does_not_go_with_the_source_is_told(network: Path) -> None:
    text = GOOD.replace('source = "drip:"', 'source = "synth:bar?sensor=dvs128"')
    assert any("128x128" in each for each in mistakes(network.parent, text))


def test_sources_are_found_from_where_the_configuration_is(network: Path) -> None:
    (network.parent / "some").mkdir()
    (network.parent / "some" / "walk.csv").write_text("t,x,y,p\n0,0,0,1\n", encoding="utf-8")
    for source in ("some/walk.csv", "file:some/walk.csv", "some/walk.csv?speed=1", "some/../some/walk.csv"):
        (eye,) = read(network.parent, GOOD.replace("drip:", source)).pipelines
        assert eye.recording is not None
        assert eye.recording.is_file()
        assert eye.uri.startswith(str(network.parent))
    found = mistakes(network.parent, GOOD.replace("drip:", "some/run.csv"))
    assert any("there is no recording" in each for each in found)


def test_speed_and_filter_become_options_of_the_source(network: Path) -> None:
    (network.parent / "walk.csv").write_text("t,x,y,p\n0,0,0,1\n", encoding="utf-8")
    text = GOOD.replace('"drip:"', '"walk.csv"\nspeed = 2.0\nfilter = "background:5ms,polarity:on"')
    (eye,) = read(network.parent, text).pipelines
    assert eye.uri == f"{network.parent}/walk.csv?speed=2&filter=background:5ms,polarity:on"
    assert eye.open_source().scheduled


def test_secrets_come_from_files_and_print_as_stars(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (network.parent / "token").write_text("a-very-secret-token-indeed\n", encoding="utf-8")
    (network.parent / "token").chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(network.parent))
    config = read(network.parent, GOOD + '\n[web]\ntoken_file = "$CREDENTIALS_DIRECTORY/token"\n')
    assert "a-very-secret-token-indeed" not in repr(config)


def test_a_secret_hides_itself() -> None:
    secret = Secret("swordfish")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret == Secret("swordfish")
    assert secret != Secret("herring")
    assert secret.reveal() == "swordfish"


def test_the_data_folder_is_systemds_or_the_users(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD.replace('data = "data"', "")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/nrt")
    assert read(network.parent, text).node.folder == Path("/var/lib/nrt")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody/state")
    assert read(network.parent, text).node.folder == Path("/home/somebody/state/nrt/edge-1")


def test_the_example_is_right_but_for_what_every_machine_has_itself() -> None:
    example = Path(__file__).parents[3] / "examples" / "edge.toml"
    config = load(example)
    assert [each.name for each in config.pipelines] == ["digits"]
    assert os.access(config.pipelines[0].network, os.R_OK)
