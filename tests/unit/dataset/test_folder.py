from __future__ import annotations

import json
from pathlib import Path

import pytest

from nrt import dataset, registry
from nrt.errors import ConfigError, NotFound
from tests.unit.dataset.folders import recording


def test_sub_folders_name_the_classes_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("dog/b.es", "dog/a.es", "cat/deep/c.es"):
        recording(tmp_path / name)
    found = dataset.load(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [(s.name, s.label) for s in found.samples] == [
        ("cat/deep/c.es", 0),
        ("dog/a.es", 1),
        ("dog/b.es", 1),
    ]


def test_names_that_are_whole_numbers_are_the_class_numbers(tmp_path: Path) -> None:
    recording(tmp_path / "7" / "a.es")
    recording(tmp_path / "03" / "a.es")
    found = dataset.load(tmp_path)
    assert len(found.classes) == 8
    assert {s.name: s.label for s in found.samples} == {"03/a.es": 3, "7/a.es": 7}


def test_a_table_labels_recordings_wherever_they_lie(tmp_path: Path) -> None:
    recording(tmp_path / "x" / "a.es")
    recording(tmp_path / "b.es")
    (tmp_path / "labels.csv").write_text("recording,label\nx/a.es,yes\n./b.es,no\n")
    found = dataset.load(str(tmp_path))
    assert found.classes == ("no", "yes")
    assert {s.name: s.label for s in found.samples} == {"b.es": 0, "x/a.es": 1}


def test_json_can_give_the_order_of_the_classes(tmp_path: Path) -> None:
    recording(tmp_path / "a.es")
    (tmp_path / "labels.json").write_text(json.dumps({"classes": ["yes", "no"], "labels": {"a.es": "no"}}))
    assert dataset.load(tmp_path).samples[0].label == 1


def test_classes_after_the_question_mark_are_no_option_of_the_recordings(tmp_path: Path) -> None:
    recording(tmp_path / "cat" / "a b.es")
    found = dataset.load(f"{tmp_path}?classes=dog,cat&packet=2ms")
    assert found.classes == ("dog", "cat")
    assert found.samples[0].label == 1
    assert found.samples[0].source == f"file:{tmp_path}/cat/a%20b.es?packet=2ms"


async def test_every_sample_can_be_streamed(tmp_path: Path) -> None:
    recording(tmp_path / "cat" / "a.es")
    (sample,) = dataset.load(f"{tmp_path}?packet=2ms").samples
    source = registry.source(sample.source)
    await source.open()
    assert sum([len(packet) async for packet in source.packets()]) == 5
    await source.close()


def test_recordings_without_labels_make_a_data_set_too(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.es")
    found = dataset.unlabelled([str(tmp_path), "synth:bar"])
    assert [(s.source, s.label) for s in found.samples] == [(str(path), None), ("synth:bar", None)]


def listed(folder: Path, table: str) -> Path:
    recording(folder / "a.es")
    (folder / "labels.csv").write_text(table)
    return folder


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("a.es,cat\na.es,dog\n", "a.es is listed twice, as cat and as dog"),
        ("a.es,cat\n./a.es,cat\n", "is listed twice"),
        ("b.es,cat\n", "b.es has a label but is not there"),
        ("labels.csv,cat\n", "labels.csv has a label but is no recording"),
        ("recording,label\n", "a.es has no label in its list"),
        ("a.es\n", "labels.csv:1: write recording,label"),
        ("a.es,2015\na.es,x\n", "listed twice"),
        ("a.es,123456789\n", "would make 123,456,790 classes"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(
    tmp_path: Path, table: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        dataset.load(listed(tmp_path, table))


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "a.es")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfea.es,cat\n")
    with pytest.raises(ConfigError, match=r"labels\.csv: is no text of lines recording,label"):
        dataset.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "{}",
        '{"a.es": {"deep": 1}}',
        '{"labels": ["a.es"]}',
        '{"labels": {"a.es": null}}',
        "{",
        "[[[[",
    ],
)
def test_json_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    recording(tmp_path / "a.es")
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ConfigError, match=r"labels\.json"):
        dataset.load(tmp_path)


def test_a_recording_that_json_lists_twice_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "a.es")
    (tmp_path / "labels.json").write_text('{"a.es": "cat", "a.es": "dog"}')
    with pytest.raises(ConfigError, match="listed twice, as cat and as dog"):
        dataset.load(tmp_path)


def test_a_recording_beside_the_classes_has_no_label(tmp_path: Path) -> None:
    recording(tmp_path / "cat" / "a.es")
    recording(tmp_path / "b.es")
    with pytest.raises(ConfigError, match=r"b\.es has no label: put the recordings of each class"):
        dataset.load(tmp_path)


def test_a_label_that_is_none_of_the_classes_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "cat" / "a.es")
    with pytest.raises(ConfigError, match="'cat' is no class; there is dog, bird"):
        dataset.load(f"{tmp_path}?classes=dog,bird")


def test_two_lists_of_labels_are_refused(tmp_path: Path) -> None:
    listed(tmp_path, "a.es,cat\n")
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"both labels\.csv and labels\.json"):
        dataset.load(tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no events here")
    with pytest.raises(NotFound, match="no recording of a known format"):
        dataset.load(tmp_path)
