from __future__ import annotations

import dataclasses
import resource
from pathlib import Path

import pytest

from nrt.errors import ConfigError, NrtError
from nrt.profile.energy import Energy
from nrt.sweep import Item, Journal
from tests.unit.sweep.sweeps import lines, row


def item(k: int) -> Item:
    return Item(f"{k:020x}", "m", "n", "cpu:", f"r{k}", f"r{k}.es", k)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.h5.journal"


def test_rows_are_there_when_the_journal_is_opened_again(path: Path) -> None:
    figure = Energy(1.5, "modelled", "a table", "chip", interval=(1.0, 2.0), notes=("a note",))
    kept = dataclasses.replace(row(item(0), 3), energy=(figure,))
    with Journal(path) as journal:
        assert journal.append(kept)
    with Journal(path) as journal:
        assert journal.rows == {kept.id: kept}


def test_a_row_counts_once_and_a_second_try_takes_the_place_of_a_failure(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.append(row(item(0), error="DeviceLost: gone"))
        assert journal.append(row(item(0), winner=1))
        assert not journal.append(row(item(0), winner=2))
        assert not journal.append(row(item(0), error="late"))
    with Journal(path) as journal:
        assert journal.rows[item(0).id].winner == 1


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_what_a_killed_process_left_of_a_line_is_cut_off(path: Path, cut: int) -> None:
    with Journal(path) as journal:
        journal.append(row(item(0)))
        whole = path.stat().st_size
        journal.append(row(item(1)))
    data = path.read_bytes()
    path.write_bytes(data[: whole + cut])
    with Journal(path) as journal:
        assert set(journal.rows) == {item(0).id}
        journal.append(row(item(1)))
    assert path.read_bytes() == data


def test_a_journal_that_was_cut_inside_its_first_line_begins_anew(path: Path) -> None:
    with Journal(path):
        whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            assert not journal.rows
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", [b"{}\n", b"no json\n", b'{"id": 3}\n', b"\xff\xfe\n", b"[[[[\n", b"null\n"]
)
def test_other_damage_is_refused_by_line_and_nothing_is_changed(path: Path, damage: bytes) -> None:
    with Journal(path) as journal:
        journal.append(row(item(0)))
        journal.append(row(item(1)))
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second + damage + third)
    with pytest.raises(ConfigError, match="journal:3: damaged"):
        Journal(path).__enter__()
    assert path.read_bytes() == first + second + damage + third


@pytest.mark.parametrize("content", [b"my notes\n", b"\x89HDF\r\n\x1a\n", b"x"])
def test_a_file_that_is_no_journal_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is no journal of a sweep"):
        Journal(path).__enter__()
    assert path.read_bytes() == content


def test_two_sweeps_cannot_write_at_once(path: Path) -> None:
    with Journal(path), pytest.raises(ConfigError, match="another sweep is writing"):
        Journal(path).__enter__()
    with Journal(path):
        pass


def test_a_full_disk_leaves_the_journal_as_it_was(path: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path) as journal:
        journal.append(row(item(0)))
        before = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, usual[1]))
        try:
            with pytest.raises(NrtError, match="free some room"):
                journal.append(row(item(1)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        assert path.read_bytes() == before
        assert journal.append(row(item(1)))


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no file"):
        Journal(Path("/dev/zero")).__enter__()


def test_rows_are_written_one_to_a_line(path: Path) -> None:
    with Journal(path) as journal:
        for k in range(3):
            journal.append(row(item(k)))
    assert [line["id"] for line in lines(path)] == [item(k).id for k in range(3)]
