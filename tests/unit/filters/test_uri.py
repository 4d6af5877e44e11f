from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.errors import ConfigError, NotFound, NrtError
from nrt.filters import FILTERS, Chain, parse
from nrt.filters.geometry import Crop, Polarity
from nrt.filters.noise import Antiflicker, Background, Hot, Refractory
from nrt.filters.thinning import Downsample, Rate


def test_filters_are_read_in_their_order() -> None:
    text = "background:2ms, refractory:since=any:time=500us,crop:10:20:64:32"
    assert parse(text) == (Background(2_000), Refractory(500, "any"), Crop(10, 20, 64, 32))


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ("background", Background(5_000)),
        ("background:2ms", Background(2_000)),
        ("refractory:since=any:time=500us", Refractory(500, "any")),
        ("refractory:time=0.5ms:any", Refractory(500, "any")),
        ("hot:2s:learn=always", Hot(2_000_000, 1_000, "always")),
        ("antiflicker:low=40:periods=3", Antiflicker(40, 130, 3, 300)),
        ("crop:10:20:64:32", Crop(10, 20, 64, 32)),
        ("crop:height=32:width=64:x=10:y=20", Crop(10, 20, 64, 32)),
        ("downsample:2:polarity=split", Downsample(2, 0, "split")),
        ("polarity:merge", Polarity("merge")),
        ("rate:2.5M", Rate(2_500_000)),
        ("rate:500k:window=5ms:seed=3", Rate(500_000, 5_000, 3)),
        ("rate:1e6", Rate(1_000_000)),
    ],
)
def test_options_are_read_by_place_and_by_name(text: str, filter: object) -> None:
    assert parse(text) == (filter,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no filter; there is background, refractory"),
        ("backgroud:5ms", "no filter 'backgroud'; there is background, refractory"),
        ("background:5ms,,flip:x", "no filter ''"),
        ("background:5", "time is '5', which is not a duration, such as 5ms"),
        ("background:0us", "the time must lie between 1us and 35min"),
        ("refractory:1h", "the time must lie between 1us and 35min"),
        ("hot:0us", "the time must be at least 1us"),
        ("background:5ms:3", "too many options; there is background:time"),
        ("background:span=5ms", "has no option 'span'; there is background:time"),
        ("refractory:1ms:time=2ms", "time is given twice"),
        ("refractory:1ms:since=all", "since is 'all', which is not passed or any"),
        ("crop:1:2:3", "height must be given, as in crop:x:y:width:height"),
        ("crop", "x and y and width and height must be given"),
        ("crop:0:0:0:4", "it must hold a pixel"),
        ("crop:-1:0:4:4", "it must hold a pixel"),
        ("crop:65535:0:2:1", "x and y end at 65535"),
        ("crop:1.5:0:4:4", "x is '1.5', which is not a whole number"),
        ("crop:99999999999999999999:0:4:4", "is not a whole number"),
        ("rotate:45", "which is not 90 or 180 or 270"),
        ("flip", "axis must be given"),
        ("bin:0", "the factor must be at least 1"),
        ("downsample:0", "the factor must be at least 1"),
        ("downsample:2:-1", "the count must not be negative"),
        ("rate:fast", "which is not a number, such as 500k or 10M"),
        ("rate:0", "limit and window must be more than 0"),
        ("rate:1e99", "is not a number"),
        ("rate:100", "less than one event in a window; choose a longer window"),
        ("rate:1G:10000h", "the window is too long"),
        ("hot:1s:0", "the count must be at least 1"),
        ("antiflicker:130:90", "1 <= low <= high"),
        ("antiflicker:periods=0", "the number of periods must lie between 1 and 1000"),
    ],
)
def test_what_cannot_be_is_answered_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(NrtError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_filter_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound) as caught:
        parse("denoise")
    assert caught.value.known == tuple(FILTERS)


@given(st.text(alphabet="background:refactoy,=1250msxwidth crop-µ.eM", max_size=30))
def test_no_text_does_anything_worse_than_be_refused(text: str) -> None:
    try:
        chain = Chain(text)
    except (NotFound, ConfigError):
        return
    assert Chain(str(chain)).filters == chain.filters


@pytest.mark.parametrize("name", FILTERS)
def test_a_chain_is_written_with_every_option_and_read_again(name: str) -> None:
    needed = {
        "crop": ":1:2:3:4",
        "flip": ":xy",
        "rotate": ":90",
        "polarity": ":on",
        "rate": ":1M",
        "bin": ":2",
    }
    chain = Chain(name + needed.get(name, ":2" if name == "downsample" else ""))
    assert Chain(str(chain)).filters == chain.filters
    for field in dataclasses.fields(chain.filters[0]):  # type: ignore[arg-type]  # every filter is a dataclass
        assert f"{field.name}=" in str(chain)


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("crop:1:2:30:20", (2, 20, 30)),
        ("rotate:90", (2, 64, 48)),
        ("rotate:180", (2, 48, 64)),
        ("rotate:270,transpose", (2, 48, 64)),
        ("bin:5", (2, 10, 13)),
        ("downsample:5,polarity:merge", (1, 10, 13)),
        ("crop:0:0:10:20,rotate:90,bin:2", (2, 5, 10)),
        ("background,polarity:on,rate:1M", (2, 48, 64)),
    ],
)
def test_the_sensor_behind_a_chain_has_the_size_that_its_filters_make(
    text: str, behind: tuple[int, int, int]
) -> None:
    assert Chain(text).shape((2, 48, 64)) == behind


def test_a_crop_beyond_the_sensor_is_refused_with_its_size() -> None:
    with pytest.raises(ConfigError, match="beyond the 48x64 pixels there are"):
        Chain("rotate:90,crop:0:0:49:64").shape((2, 48, 64))


@pytest.mark.parametrize(
    "text", ["background", "hot", "flip:x", "rotate:90", "downsample:2", "antiflicker", "refractory"]
)
def test_a_sensor_of_unknown_size_can_be_declared_by_a_crop(text: str) -> None:
    chain = Chain(text)
    with pytest.raises(ConfigError, match="put crop:0:0:WIDTH:HEIGHT before it"):
        chain.start(chain.shape(None))
    declared = Chain(f"crop:0:0:8:4,{text}")
    declared.start(None)
    assert declared.shape(None) is not None


def test_a_sensor_larger_than_any_gets_no_memory() -> None:
    with pytest.raises(ConfigError, match="65535x65535 pixels is more than any there is"):
        Chain("background").start((2, 65535, 65535))
