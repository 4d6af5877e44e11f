from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from nrt.dataset import Dataset, Sample, load
from nrt.errors import ConfigError
from nrt.sweep import Plan, names
from nrt.testing.stimulus import small
from tests.unit.sweep.sweeps import plan, recordings


def ids(data: Dataset, *devices: str) -> list[str]:
    return [item.id for item in Plan({"small": small()}, data, devices or ("cpu:",)).items()]


def test_a_data_set_that_was_moved_has_the_same_ids(tmp_path: Path) -> None:
    first = ids(recordings(tmp_path / "a", 4))
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert ids(load(tmp_path / "b")) == first


def test_ids_differ_by_recording_options_device_and_network(tmp_path: Path) -> None:
    data = recordings(tmp_path, 4)
    wider = Plan({"small": small(hidden=7)}, data, ("cpu:",)).items()
    found = [
        *ids(data),
        *ids(load(f"{tmp_path}?packet=1ms")),
        *ids(data, "torch:cpu"),
        *(i.id for i in wider),
    ]
    assert len(set(found)) == len(found) == 16


def test_a_recording_that_changed_is_another_item(tmp_path: Path) -> None:
    before = ids(recordings(tmp_path, 2))
    recordings(tmp_path, 1, span=200_000)
    after = ids(load(tmp_path))
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_path_and_its_uri_are_the_same_work(tmp_path: Path) -> None:
    path = recordings(tmp_path, 1).samples[0].source
    plain, uri, paced = (
        Dataset("d", (Sample(text, None, "r"),)) for text in (path, f"file:{path}", f"{path}?speed=1")
    )
    assert ids(plain) == ids(uri) != ids(paced)


def test_the_label_is_no_part_of_the_work() -> None:
    data = Dataset("d", (Sample("synth:bar", None, "bar"),), ("a", "b"))
    labelled = dataclasses.replace(data, samples=(Sample("synth:bar", 1, "bar"),))
    assert ids(data) == ids(labelled)


def test_items_are_every_model_with_every_device_and_recording(tmp_path: Path) -> None:
    items = plan(tmp_path, 3, "cpu:", "null:").items()
    assert {(item.device, item.recording) for item in items} == {
        (device, f"{k}/{k:03d}.es") for device in ("cpu:", "null:") for k in range(3)
    }


def test_a_device_or_a_network_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    data = recordings(tmp_path, 1)
    with pytest.raises(ConfigError, match="cpu: is asked for twice"):
        Plan({"small": small()}, data, ("cpu:", "cpu:"))
    with pytest.raises(ConfigError, match="a and b are the same network"):
        Plan({"a": small(), "b": small()}, data, ("cpu:",))


def test_models_are_called_by_as_much_of_their_path_as_tells_them_apart() -> None:
    assert names(["a/x.nir", "b/x.nir", "b/y.nir"]) == {
        "a/x.nir": "a/x.nir",
        "b/x.nir": "b/x.nir",
        "b/y.nir": "y.nir",
    }
