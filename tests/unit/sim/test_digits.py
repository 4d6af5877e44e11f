from __future__ import annotations

import hashlib
import re
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nrt
from nrt import registry
from nrt.errors import ConfigError
from nrt.packet import SPIKE, Packet, Records, join
from nrt.source import Source
from nrt_sim.models import digits, held_out, reading
from nrt_sim.models.reading import Reading, decide, votes
from nrt_sim.scenes.digits import EPISODE, SWEEP, Digits, held_out_row

SHAPE = (32, 32)
CARD = " ".join(digits().with_name("digits.md").read_text(encoding="utf-8").split())


async def spikes_of(device: str, source: Source) -> Records:
    async with nrt.open(device) as session:
        await session.deploy(reading.network())
        async with session.stream(source) as run:
            return join([packet.data async for packet in run])


async def events_of(source: Source) -> list[Packet]:
    packets = [packet async for packet in source.packets()]
    await source.close()
    return packets


def solid(count: int) -> Digits:
    """Digits that are ink all over."""
    return Digits(SHAPE, np.full((count, 8, 8), 16), np.arange(count), light=500, contrast=10)


async def test_the_network_reads_97_of_100_held_out_digits() -> None:
    count = len(held_out()[1])
    source = Reading(count, seed=1001, speed=0, row=Digits(SHAPE, *held_out()))
    answers = decide(votes(await spikes_of("cpu:", source), count))
    assert np.mean(answers == source.answers) >= 0.97


async def test_the_engine_and_the_definition_of_right_agree_spike_by_spike() -> None:
    row = Digits(SHAPE, *held_out())
    fast, slow = [
        await spikes_of(device, Reading(2, seed=5, speed=0, row=row)) for device in ("cpu:", "reference:")
    ]
    assert len(slow) > 20
    assert np.array_equal(fast, slow)


async def test_torch_computes_the_same_spikes_from_the_file() -> None:
    packets = await events_of(Reading(1, seed=6, speed=0))
    counts = np.zeros((len(packets), 2, *SHAPE))
    for k, packet in enumerate(packets):
        np.add.at(counts[k], tuple(packet.data[name].astype(int) for name in ("p", "y", "x")), 1)
    nodes: dict[str, Any] = dict(nir.read(digits()).nodes)
    x = torch.from_numpy(counts)
    for conv, lif in (("conv1", "lif1"), ("conv2", "lif2")):
        weight = torch.from_numpy(nodes[conv].weight.astype(np.float64))
        padding = 2 if conv == "conv1" else 1
        x = _leaky(torch.nn.functional.conv2d(x, weight, stride=2, padding=padding), nodes[lif].tau)
    x = _leaky(
        x.flatten(1) @ torch.from_numpy(nodes["dense"].weight.astype(np.float64)).T, nodes["digit"].tau
    )
    spikes = await spikes_of("reference:", Reading(1, seed=6, speed=0))
    fired = np.zeros((len(packets), 10))
    np.add.at(fired, (spikes["t"] // 1_000, spikes["n"]), 1)
    assert fired.sum() > 10
    assert np.array_equal(fired, x.numpy())


def _leaky(x: torch.Tensor, tau: NDArray[np.float32]) -> torch.Tensor:
    """NIR's LIF by forward Euler with 1 ms, as the training script has it: gain 1, threshold 1, reset to 0."""
    decay = 1 - 0.001 / float(tau.flat[0])
    v, out = torch.zeros_like(x[0]), torch.zeros_like(x)
    for step in range(len(x)):
        v = decay * v + x[step]
        out[step] = v > 1
        v = v * (1 - out[step])
    return out


def test_the_card_tells_the_hashes_of_the_file_and_of_the_network() -> None:
    assert hashlib.sha256(digits().read_bytes()).hexdigest() in CARD
    assert reading.network().hash in CARD


def test_the_card_tells_data_licence_split_semantics_and_command() -> None:
    for fact in ("CC BY 4.0", "10.24432/C50P49", "writers", "forward Euler", "train_digits.py", "95 %"):
        assert fact in CARD, fact
    (share,) = re.findall(r"(\d+) of 1797", CARD)
    assert int(share) == len(held_out()[1]) >= 0.2 * 1797


def test_network_and_pictures_are_small_enough_to_ship() -> None:
    assert digits().stat().st_size < 300_000
    assert digits().with_name("held_out.npz").stat().st_size < 60_000


def test_the_held_out_digits_are_those_of_the_card() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the data set")
    images, labels = datasets.load_digits(return_X_y=True)
    kept, answers = held_out()
    chosen = np.sort(np.random.default_rng(20).permutation(1797)[:360])
    assert np.array_equal(kept.reshape(-1, 64), images[chosen])
    assert np.array_equal(answers, labels[chosen])


def test_the_truth_is_where_the_ink_is() -> None:
    scene = solid(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    for t in (SWEEP, EPISODE - 1, EPISODE + SWEEP + 30_000, 2 * EPISODE + SWEEP + 70_000):
        ink = 500 - scene.picture(t)
        (truth,) = scene.truth(t)
        assert truth.label == str(t // EPISODE)
        assert truth.x == pytest.approx(float((x * ink).sum() / ink.sum()), abs=0.05)
        assert truth.y == pytest.approx(float((y * ink).sum() / ink.sum()), abs=0.05)


def test_a_digit_is_seen_whole_while_the_gaze_is_on_it() -> None:
    scene = solid(1)
    ink = [float((500 - scene.picture(t)).sum()) for t in range(SWEEP, EPISODE, 5_000)]
    assert min(ink) == pytest.approx(max(ink), rel=0.01)


def test_the_neighbours_of_a_digit_are_out_of_view_while_the_gaze_is_on_it() -> None:
    blank_between = np.stack([np.full((8, 8), ink) for ink in (16, 0, 16)])
    for shape in (SHAPE, (64, 32), (32, 80)):
        scene = Digits(shape, blank_between, np.arange(3), light=500)
        for t in range(EPISODE + SWEEP, 2 * EPISODE, 5_000):
            assert scene.picture(t) == pytest.approx(500)


def test_after_the_last_digit_the_gaze_comes_to_the_first_one_without_a_jump() -> None:
    scene = solid(3)
    round_trip = 3 * EPISODE
    for t in (SWEEP, SWEEP + 30_000):
        assert np.array_equal(scene.picture(t), scene.picture(t + round_trip))
    before, after = scene.picture(round_trip + SWEEP - 1), scene.picture(round_trip + SWEEP)
    assert before == pytest.approx(after, abs=0.5)
    assert all(abs(scene.truth(round_trip + t)[0].vx) < 2_000 for t in range(0, EPISODE, 500))


async def test_a_seed_gives_the_same_events_and_order_again_and_another_seed_others() -> None:
    first, again, other = [Reading(2, seed=seed, speed=0) for seed in (3, 3, 4)]
    assert np.array_equal(first.answers, again.answers)
    records = [join([p.data for p in await events_of(source)]) for source in (first, again, other)]
    assert np.array_equal(records[0], records[1])
    assert not np.array_equal(records[0], records[2])
    row = [held_out_row(SHAPE, seed) for seed in (3, 4)]
    assert [row[0].answer(k) for k in range(20)] != [row[1].answer(k) for k in range(20)]


async def test_the_uri_of_a_reading_opens_the_same_events() -> None:
    source = Reading(1, seed=3, speed=0)
    again = registry.source(source.uri)
    records = [join([p.data for p in await events_of(s)]) for s in (source, again)]
    assert len(records[0]) > 1_000
    assert np.array_equal(records[0], records[1])


def _spike(t: int, n: int) -> NDArray[np.void]:
    return np.array([(t, n, 1)], SPIKE)


def test_spikes_of_the_sweep_and_after_the_last_digit_do_not_count() -> None:
    spikes = join([_spike(SWEEP - 1, 3), _spike(SWEEP, 4), _spike(2 * EPISODE + SWEEP, 5)])
    assert votes(spikes, 2).tolist() == [[0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [0] * 10]


def test_an_episode_without_votes_has_no_answer_and_a_tie_the_lower_number() -> None:
    assert decide(np.array([[0, 0, 0], [0, 2, 2], [1, 0, 2]])).tolist() == [-1, 1, 2]


@pytest.mark.parametrize("images", [np.zeros((2, 8, 7)), np.zeros((3, 8, 8)), np.zeros((0, 8, 8))])
def test_pictures_that_are_no_digits_are_refused(images: NDArray[np.float64]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Digits(SHAPE, images, np.zeros(min(len(images), 2)))
