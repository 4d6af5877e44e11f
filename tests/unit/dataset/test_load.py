from __future__ import annotations

from pathlib import Path

import pytest

import nrt
from nrt import dataset, registry
from nrt.dataset import Dataset, Sample
from nrt.errors import ConfigError, NotFound
from nrt_sim.models import held_out
from tests.unit.dataset.folders import recording


def test_the_digits_are_the_held_out_ones_with_their_labels() -> None:
    found = dataset.load("digits")
    assert [s.label for s in found.samples] == held_out()[1].tolist()
    assert found.classes == tuple("0123456789")


def test_a_name_and_its_uri_mean_the_same() -> None:
    assert dataset.load("digits?seed=3&count=5").samples == dataset.load("digits:?seed=3&count=5").samples


async def stream(uri: str) -> bytes:
    source = registry.source(uri)
    await source.open()
    try:
        return b"".join([packet.data.tobytes() async for packet in source.packets()])
    finally:
        await source.close()


async def test_a_digit_is_the_same_events_every_time_and_others_with_another_seed() -> None:
    first, again, other = [await stream(f"digit:4?seed={seed}") for seed in (1, 1, 2)]
    assert first == again != other


async def test_the_network_that_comes_with_nrt_reads_digits_one_by_one() -> None:
    from nrt_sim.models.reading import network

    found = dataset.load("digits?count=10")
    async with nrt.open("cpu:") as session:
        await session.deploy(network())
        winners = [(await session.run(sample.source)).winner for sample in found.samples]
    right = sum(winner == sample.label for winner, sample in zip(winners, found.samples, strict=True))
    assert right >= 9


@pytest.mark.parametrize("text", ["digit:", "digit:360", "digit:x", "digit:-1", "digit:1?seed=-1"])
def test_a_digit_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="digit"):
        registry.source(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("digits?count=361", "there are 360"),
        ("digits:7", "takes no name"),
        ("digits?colour=red", "no option 'colour'; there is seed, count"),
    ],
)
def test_options_of_the_digits_are_checked(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        dataset.load(text)


def test_what_is_no_data_set_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="no data set 'digets': it is no folder, and there is digits, tonic"):
        dataset.load("digets")


def test_a_folder_goes_before_the_bare_name_of_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording(tmp_path / "digits" / "cat" / "a.es")
    monkeypatch.chdir(tmp_path)
    assert dataset.load("digits").classes == ("cat",)
    assert len(dataset.load("digits:").classes) == 10


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ((), "there is no recording in it"),
        ((Sample("a", 0, "a"), Sample("b", 0, "a")), "2 recordings are called a"),
        ((Sample("a", 2, "a"),), "a has label 2, there are classes 0 to 1"),
    ],
)
def test_a_data_set_that_cannot_be_is_refused(samples: tuple[Sample, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Dataset("d", samples, ("x", "y"))


def test_the_first_samples_show_every_class() -> None:
    samples = tuple(Sample(str(k), k // 10, str(k)) for k in range(30))
    found = Dataset("d", samples, ("a", "b", "c")).first(4)
    assert [(s.name, s.label) for s in found.samples] == [("0", 0), ("1", 0), ("10", 1), ("20", 2)]
