from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt.profile.energy import Energy
from nrt.sweep import NotRun, Plan, Row, results, summaries
from tests.unit.sweep.sweeps import plan, row

hdf5: Any = h5py  # its types are wider than what it returns

MEASURED = Energy(2.0, "measured", "a meter", "board", seconds=1.0, idle_watts=0.5)
MODELLED = Energy(3.0, "modelled", "a table", "arithmetic only")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Plan, list[Row]]:
    """Three rows: right with two figures of energy, tied, failed."""
    wanted = plan(tmp_path / "data", 3, "cpu:")
    first, second, third = wanted.items()
    good = dataclasses.replace(
        row(first, 0),
        energy=(MEASURED, MODELLED),
        latency_since="read",
        latency_p50_ms=1.0,
        latency_p99_ms=4.0,
    )
    return wanted, [good, row(second, None), row(third, None, error="BadRecording: cut")]


def test_hdf5_has_a_column_for_every_field(tmp_path: Path, made: tuple[Plan, list[Row]]) -> None:
    wanted, rows = made
    results.write(tmp_path / "r.h5", rows, wanted, [NotRun("nope:", "small", 3, "there is none")])
    with hdf5.File(tmp_path / "r.h5") as file:
        table = file["rows"]
        assert set(table) == {field.name for field in dataclasses.fields(Row)} - {"energy"}
        assert table["id"].asstr()[:].tolist() == [each.id for each in rows]
        assert table["winner"][:].tolist() == [0, -1, -1]
        assert table["error"].asstr()[2] == "BadRecording: cut"
        assert np.array_equal(table["latency_p50_ms"][:], [1.0, np.nan, np.nan], equal_nan=True)
        energy = file["energy"]
        assert energy["id"].asstr()[:].tolist() == [rows[0].id] * 2
        assert energy["kind"].asstr()[:].tolist() == ["measured", "modelled"]
        assert np.array_equal(energy["net"][:], [1.5, np.nan], equal_nan=True)
        assert json.loads(file.attrs["classes"]) == ["0", "1", "2"]
        assert json.loads(file.attrs["not_run"])[0]["reason"] == "there is none"


def test_parquet_has_nulls_and_a_list_of_energies(tmp_path: Path, made: tuple[Plan, list[Row]]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra lab)")
    wanted, rows = made
    results.write(tmp_path / "r.parquet", rows, wanted)
    table = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert [each["winner"] for each in table] == [0, None, None]
    assert [each["label"] for each in table] == [0, 1, 2]
    assert [(e["kind"], e["joules"], e["net"]) for e in table[0]["energy"]] == [
        ("measured", 2.0, 1.5),
        ("modelled", 3.0, None),
    ]
    assert table[1]["energy"] == []


@pytest.mark.parametrize("ending", ["h5", "parquet"])
def test_no_rows_make_a_file_too(tmp_path: Path, made: tuple[Plan, list[Row]], ending: str) -> None:
    results.write(tmp_path / f"r.{ending}", [], made[0])
    assert (tmp_path / f"r.{ending}").stat().st_size
    assert not list(tmp_path.glob("*.part"))


def test_an_ending_that_says_no_format_is_refused(tmp_path: Path, made: tuple[Plan, list[Row]]) -> None:
    with pytest.raises(ConfigError, match=r"\.h5, \.hdf5, \.parquet"):
        results.write(tmp_path / "r.csv", [], made[0])
    with pytest.raises(ConfigError, match="there is no folder"):
        results.write(tmp_path / "no" / "r.h5", [], made[0])


def test_a_summary_counts_ties_as_wrong_and_leaves_failures_out(made: tuple[Plan, list[Row]]) -> None:
    (found,) = summaries(made[1])
    assert (found.recordings, found.failed, found.right, found.of, found.ties) == (3, 1, 1, 2, 1)
    # R: binom::binom.wilson(1, 2) gives 0.0945312 to 0.9054688
    assert (found.low, found.high) == pytest.approx((0.0945312, 0.9054688), abs=1e-6)
    assert (found.p50_ms, found.p99_ms, found.since) == (1.0, 4.0, "read")


def test_energies_of_different_labels_stand_side_by_side(made: tuple[Plan, list[Row]]) -> None:
    rows = [made[1][0], dataclasses.replace(made[1][1], energy=(dataclasses.replace(MODELLED, joules=5.0),))]
    measured, modelled = summaries(rows)[0].energy
    assert (measured.kind, measured.joules, measured.net, measured.of) == ("measured", 2.0, 1.5, 1)
    assert (modelled.kind, modelled.joules, modelled.net, modelled.of) == ("modelled", 4.0, None, 2)
