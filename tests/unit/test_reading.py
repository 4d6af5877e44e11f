"""How a network file is to be understood, kept as texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrt.errors import ConfigError
from nrt.network import Network
from nrt.reading import Reading, settings
from nrt_sim import models

DIGITS = Path(models.__file__).parent / "digits.nir"


def test_what_was_chosen_survives_being_written_down() -> None:
    reading = Reading("sinabs", "2ms", {"reset": "soft"}, {"crop": "0,0,32,32", "pool": "2"})
    assert Reading.from_dict(reading.to_dict()) == reading


def test_a_file_is_read_as_chosen() -> None:
    reading = Reading(
        dt="2ms", semantics={"reset": "soft"}, encoding={"crop": "4,5,32,32", "values": "binary"}
    )
    network = reading.load(DIGITS)
    assert (network.semantics.dt, network.semantics.reset) == (2000, "soft")
    assert (network.encoding.crop, network.encoding.values) == ((4, 5, 32, 32), "binary")
    assert Reading().load(DIGITS).hash == Network.load(DIGITS).hash


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ({"zoom": "2"}, "encoding has no 'zoom'"),
        ({"pool": "two"}, "encoding pool: 'two' is not a whole number"),
        ({"crop": "1,2"}, "write crop=x,y,width,height"),
    ],
)
def test_an_encoding_that_cannot_be_is_refused(encoding: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Reading(encoding=encoding).load(DIGITS)


def test_mistakes_in_what_was_written_down_are_named() -> None:
    with pytest.raises(ConfigError, match="'lik' is not known"):
        Reading.from_dict({"lik": "sinabs"})
    with pytest.raises(ConfigError, match="dt must be a text"):
        Reading.from_dict({"dt": 3})
    with pytest.raises(ConfigError, match="semantics must be a table"):
        Reading.from_dict({"semantics": "soft"})
    with pytest.raises(ConfigError, match="--set reset: write name=value"):
        settings("--set", ["reset"])
