from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from nrt import dataset, formats
from nrt.errors import ConfigError, NotFound
from nrt.packet import EVENT

pytest.importorskip("tonic", reason="tonic is not installed (extra tonic)", exc_type=ImportError)


@pytest.fixture
def poker(tmp_path: Path) -> Path:
    """Poker-DVS's test subset as tonic lays it out: 20 recordings, events [t, x, y, p] in rows."""
    place = tmp_path / "POKERDVS" / "pips_test"
    place.parent.mkdir()
    (place.parent / "pips_test.tar.gz").touch()
    for k in range(20):
        folder = place / ("cl", "he", "di", "sp")[k % 4]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{k}.npy", np.array([[10, 3, k, 1], [20, 34, 0, 0]]))
    return tmp_path


def test_every_sample_becomes_a_recording_with_its_label(poker: Path) -> None:
    found = dataset.load(f"tonic:POKERDVS?root={poker}&cache={poker}")
    assert len(found) == 20
    assert {Path(s.source).name: s.label for s in found.samples}.keys() == {f"{k:06d}.h5" for k in range(20)}
    per_label = [sum(s.label == k for s in found.samples) for k in range(4)]
    assert per_label == [5, 5, 5, 5]
    rows = set[int]()
    for sample in found.samples:
        events = np.empty(4096, EVENT)
        with formats.open(Path(sample.source)) as recording:
            assert recording.shape == (2, 35, 35)
            assert recording.read(events) == 2
        y = int(events["y"][0])
        assert events[:2].tolist() == [(10, 3, y, 1), (20, 34, 0, 0)]
        assert sample.label == y % 4
        rows.add(y)
    assert rows == set(range(20))


def test_recordings_that_were_made_are_found_without_the_originals(poker: Path) -> None:
    first = dataset.load(f"tonic:POKERDVS?root={poker}&cache={poker}")
    shutil.rmtree(poker / "POKERDVS")
    assert dataset.load(f"tonic:POKERDVS?root={poker}&cache={poker}") == first


def test_what_is_not_on_disk_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"get it once with tonic\.datasets\.NMNIST\(save_to=.*train=False\)"):
        dataset.load(f"tonic:NMNIST?root={tmp_path}&cache={tmp_path}")


def test_an_unknown_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match="DVSGesture"):
        dataset.load("tonic:MNIST")


def test_an_unknown_subset_is_refused() -> None:
    with pytest.raises(ConfigError, match="'other' is none of train, valid, test"):
        dataset.load("tonic:NMNIST?split=other")
