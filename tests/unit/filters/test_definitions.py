from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.filters import FILTERS, Chain
from nrt.filters.kernels import mixed
from tests.unit.filters import oracle
from tests.unit.filters.oracle import Event
from tests.unit.filters.streams import HEIGHT, SENSOR, WIDTH, streams, through

SHAPE = (WIDTH, HEIGHT)
STATEFUL = ["background", "refractory", "hot", "antiflicker", "rate"]
GEOMETRIC = ["crop", "flip", "rotate", "transpose", "bin", "polarity", "downsample"]
TIMES = st.sampled_from([1, 2, 90, 100, 1_000, 5_000, 10_000])

Choice = tuple[str, Callable[[list[Event]], list[Event]]]


@st.composite
def stateful(draw: st.DrawFn, which: str = "") -> Choice:
    """A filter that changes no address, as a URI has it and as the oracle has it."""
    which = which or draw(st.sampled_from(STATEFUL))
    time = draw(TIMES)
    if which == "background":
        return f"background:{time}us", lambda events: oracle.background(events, time)
    if which == "refractory":
        since = draw(st.sampled_from(["passed", "any"]))
        return f"refractory:time={time}us:since={since}", lambda events: oracle.refractory(
            events, time, since
        )
    if which == "hot":
        count, learn = draw(st.integers(1, 3)), draw(st.sampled_from(["once", "always"]))
        return f"hot:{time}us:{count}:{learn}", lambda events: oracle.hot(events, time, count, learn)
    if which == "antiflicker":
        periods, jitter = draw(st.integers(1, 3)), draw(st.sampled_from([0, 10, 250]))
        low, high = draw(st.sampled_from([(90, 100), (100, 110), (50, 10_000), (1, 1_000_000)]))
        return (
            f"antiflicker:{low}:{high}:{periods}:{jitter}us",
            lambda events: oracle.antiflicker(events, low, high, periods, jitter),
        )
    limit, seed = (
        -(-1_000_000 // time) * draw(st.integers(1, 3)) + draw(st.integers(0, 9)),
        draw(st.integers(0, 9)),
    )
    return f"rate:{limit}:{time}us:{seed}", lambda events: oracle.rate(events, limit, time, seed)


@st.composite
def geometric(
    draw: st.DrawFn, shape: tuple[int, int]
) -> tuple[str, Callable[[list[Event]], list[Event]], tuple[int, int]]:
    """A filter that looks at addresses and polarity alone, the same by the oracle, and the size behind it."""
    width, height = shape
    which = draw(st.sampled_from(GEOMETRIC))
    if which == "crop":
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        w, h = draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
        return (
            f"crop:{x}:{y}:{w}:{h}",
            lambda events: oracle.moved(events, shape, lambda a: a[y : y + h, x : x + w]),
            (w, h),
        )
    if which == "flip":
        axis = draw(st.sampled_from(["x", "y", "xy"]))
        turned = tuple({"x": 1, "y": 0}[letter] for letter in axis)
        return f"flip:{axis}", lambda events: oracle.moved(events, shape, lambda a: np.flip(a, turned)), shape
    if which == "rotate":
        quarters = draw(st.integers(1, 3))
        return (
            f"rotate:{90 * quarters}",
            lambda events: oracle.moved(events, shape, lambda a: np.rot90(a, -quarters)),
            shape if quarters == 2 else (height, width),
        )
    if which == "transpose":
        return "transpose", lambda events: oracle.moved(events, shape, np.transpose), (height, width)
    factor = draw(st.integers(1, 4))
    smaller = (-(-width // factor), -(-height // factor))
    if which == "bin":
        return (
            f"bin:{factor}",
            lambda events: [(t, x // factor, y // factor, p) for t, x, y, p in events],
            smaller,
        )
    if which == "downsample":
        count, polarity = draw(st.integers(0, 3)), draw(st.sampled_from(["sum", "split"]))
        return (
            f"downsample:{factor}:{count}:{polarity}",
            lambda events: oracle.downsample(events, factor, count, polarity),
            smaller,
        )
    keep = draw(st.sampled_from(["on", "off", "merge", "swap"]))
    return f"polarity:{keep}", lambda events: oracle.polarity(events, keep), shape


@pytest.mark.parametrize("name", STATEFUL)
@given(st.data(), streams(), st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=150)
def test_what_stays_is_what_the_definition_says_wherever_the_stream_is_cut(
    name: str, data: st.DataObject, events: list[Event], cuts: list[int]
) -> None:
    text, expected = data.draw(stateful(name))
    seen = events if name == "rate" else oracle.on_sensor(events, SHAPE)
    assert through(Chain(text), events, cuts) == expected(seen)


@given(st.data(), streams(), st.lists(st.integers(0, 60), max_size=4))
def test_a_chain_does_what_its_members_do_one_after_the_other(
    data: st.DataObject, events: list[Event], cuts: list[int]
) -> None:
    shape, texts, expected = SHAPE, list[str](), oracle.on_sensor(events, SHAPE)
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            text, step = data.draw(stateful())
            if not texts and text.startswith("rate"):
                continue  # it alone lets through what lies outside the sensor
        else:
            text, step, shape = data.draw(geometric(shape))
        texts.append(text)
        expected = step(expected)
    if not texts:
        return
    chain = Chain(",".join(texts))
    kept = through(chain, events, cuts)
    assert kept == expected
    assert sum(count for name, count in chain.counters().items() if name != "hot pixels") + len(kept) == len(
        events
    )
    behind = chain.shape(SENSOR)
    assert behind is not None
    assert behind[1:] == (shape[1], shape[0])


@given(st.data(), streams())
def test_each_member_of_a_folded_row_counts_what_it_took_out_itself(
    data: st.DataObject, events: list[Event]
) -> None:
    shape, left = SHAPE, oracle.on_sensor(events, SHAPE)
    texts, removed = list[str](), dict[str, int]()
    if len(left) < len(events):
        removed["outside the sensor"] = len(events) - len(left)
    for _ in range(data.draw(st.integers(1, 4))):
        text, step, shape = data.draw(geometric(shape))
        texts.append(text)
        behind = step(left)
        name = f"removed by {text.partition(':')[0]}"
        if len(left) > len(behind):
            removed[name] = removed.get(name, 0) + len(left) - len(behind)
        left = behind
    if texts:
        chain = Chain(",".join(texts))
        assert through(chain, events) == left
        assert chain.counters() == removed


def test_the_draw_of_the_rate_limiter_is_the_published_generator() -> None:
    # the first numbers of SplitMix64 with seed 0, as its authors' and others' implementations list them
    assert mixed(1) == (0xE220A8397B1DCDAF >> 11) / 2**53
    assert mixed(2) == (0x6E789E6AA1B965F4 >> 11) / 2**53
    assert mixed(3) == (0x06C45D188009454F >> 11) / 2**53


def test_a_lamp_on_mains_is_silenced_and_an_edge_that_passes_is_not() -> None:
    lamp = [
        (k * 5_000 + j, 3, 2, (k + 1) % 2) for k in range(40) for j in range(3)
    ]  # 100 Hz: ON, OFF each 5 ms
    edge = [(k * 700, k % WIDTH, 0, 1) for k in range(280)]
    kept = through(Chain("antiflicker"), sorted(lamp + edge))
    assert [e for e in kept if e[2] == 0] == edge
    # seven cycles of 10 ms are complete with the ON event at 70 ms
    assert [e for e in kept if e[2] == 2] == [e for e in lamp if e[0] < 70_000]


def test_a_limited_rate_keeps_to_its_cap_and_favours_no_pixel_and_no_moment() -> None:
    random = np.random.default_rng(1)
    t = np.sort(random.integers(0, 1_000_000, 200_000)).tolist()
    x = random.integers(0, WIDTH, len(t)).tolist()
    events = [(t[k], x[k], 0, k % 2) for k in range(len(t))]
    kept = through(Chain("rate:20k:10ms"), events, shape=SENSOR)
    per_window = np.bincount([e[0] // 10_000 for e in kept], minlength=100)
    assert per_window.max() <= 201  # windows begin with the first event, not at 0
    assert len(kept) > 0.9 * 20_000
    share = np.bincount([e[1] for e in kept], minlength=WIDTH) / len(kept) * WIDTH
    assert abs(share - 1).max() < 0.08  # four standard deviations of 19000 events in 7 pixels
    halves = np.bincount([e[0] % 10_000 // 5_000 for e in kept[len(kept) // 20 :]])
    assert abs(halves[0] / halves[1] - 1) < 0.15


def test_background_looks_across_the_border_of_no_row() -> None:
    # the last pixel of a row and the first of the next lie side by side in memory, and nowhere else
    events = [(0, WIDTH - 1, 0, 1), (1, 0, 1, 1), (2, 0, 2, 1), (3, WIDTH - 1, HEIGHT - 1, 1), (4, 0, 0, 1)]
    assert through(Chain("background:1s"), events) == [(2, 0, 2, 1), (4, 0, 0, 1)]


@pytest.mark.parametrize(
    "text", ["background", "refractory", "hot:1s:1", "antiflicker:1:1000000:1", "rate:1M", "downsample:1"]
)
def test_times_as_far_apart_as_events_can_have_them_do_no_harm(text: str) -> None:
    events = [(-(2**61), 1, 1, 1), (0, 1, 1, 1), (2**61, 2, 2, 1)]
    kept = through(Chain(text), events)
    if text == "background":
        assert kept == []
    elif text.startswith("hot"):
        assert kept == events[::2]
    else:
        assert kept == events


@pytest.mark.parametrize("early", range(0, 8_000, 500))
def test_what_happened_shortly_before_32_bits_are_full_is_remembered(early: int) -> None:
    t = 2**32 - early
    pair = [(t, 3, 3, 1), (t + 1_500, 4, 4, 1), (t + 1_600, 3, 3, 1), (t + 7_000, 4, 3, 1)]
    events = [(0, 0, 0, 1), *pair]
    assert through(Chain("background:3ms"), events) == oracle.background(events, 3_000) == pair[1:3]
    assert through(Chain("refractory:3ms"), events) == [events[0], pair[0], pair[1], pair[3]]
    lamp = [(0, 0, 0, 1), *((t + 5_000 * k, 2, 2, (k + 1) % 2) for k in range(8))]
    assert (
        through(Chain("antiflicker:100:100:2"), lamp)
        == oracle.antiflicker(lamp, 100, 100, 2, 300)
        == lamp[:5]
    )


@pytest.mark.parametrize(("period", "goes"), [(9_090, True), (9_089, False), (10_000, True), (10_001, False)])
def test_a_flicker_is_in_the_band_up_to_its_edges(period: int, goes: bool) -> None:
    lamp = [(period * k + half * 3, 1, 1, 1 - half) for k in range(9) for half in (0, 1)]
    assert (len(through(Chain("antiflicker:100:110:3"), lamp)) < len(lamp)) == goes


def test_values_of_p_above_1_are_on() -> None:
    assert through(Chain("polarity:on"), [(0, 0, 0, 255)]) == [(0, 0, 0, 1)]


def test_every_filter_has_been_tested_against_its_oracle() -> None:
    assert set(FILTERS) == {*STATEFUL, *GEOMETRIC}
