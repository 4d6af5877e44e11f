"""Results of a sweep as a file that other tools read: HDF5 (.h5, .hdf5) or Parquet (.parquet), by its ending.

HDF5: the group `rows` has one column a field, each a dataset of as many elements as there are rows; the group
`energy` has one element a figure, with the `id` of its row, since a run may have several figures that must not be
added up. Numbers that were not had are NaN, a label or winner that is not known is -1. Parquet: one row each, nulls for
what was not had, `energy` as a list in its row.

Written in a temporary file that takes the place of the old one when it is whole.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import numpy as np

from nrt import plain
from nrt.errors import ConfigError, MissingDependency, NrtError
from nrt.profile.energy import Energy
from nrt.sweep.executor import NotRun
from nrt.sweep.item import Plan, Row
from nrt.version import __version__

_UNKNOWN: Final = {int: -1, float: np.nan, str: ""}


def check(path: Path) -> None:
    """Raises ConfigError for an ending that says no format, MissingDependency where its package is missing."""
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigError(
            f"{path}: results are written to {', '.join(_WRITERS)}; choose one of these endings"
        )
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.absolute().parent}")
    if writer is _parquet:
        _pyarrow()


def write(path: Path, rows: Sequence[Row], plan: Plan, not_run: Sequence[NotRun] = ()) -> None:
    """All of `rows` in the file `path`. Raises what `check` does, and NrtError where it cannot be written."""
    check(path)
    part = path.with_name(f"{path.name}.part")
    try:
        _WRITERS[path.suffix.lower()](part, rows, _about(plan, not_run))
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NrtError(f"{path}: results cannot be written ({error}); the journal has them all") from error


def _about(plan: Plan, not_run: Sequence[NotRun]) -> dict[str, str]:
    """What the results are of, as texts."""
    return {
        "format": "nrt-sweep 1",
        "nrt": __version__,
        "dataset": plan.dataset.name,
        "classes": json.dumps(plan.dataset.classes),
        "models": json.dumps({name: network.hash for name, network in plan.models.items()}),
        "devices": json.dumps(plan.devices),
        "not_run": json.dumps([plain.encode(each) for each in not_run]),
    }


def _hdf5(path: Path, rows: Sequence[Row], about: Mapping[str, str]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(about)
        _group(file.create_group("rows"), Row, [dataclasses.replace(row, energy=()) for row in rows])
        energy = file.create_group("energy")
        figures = [(row.id, figure) for row in rows for figure in row.energy]
        _group(energy, Energy, [figure for _, figure in figures])
        _column(energy, "id", str, [key for key, _ in figures])
        _column(energy, "net", float, [figure.net for _, figure in figures])


def _group(group: Any, kind: type[Any], values: Sequence[object]) -> None:
    """Every field of `kind` that is a number or a text as a column of an h5py group."""
    for name, hint in _scalars(kind).items():
        _column(group, name, hint, [getattr(value, name) for value in values])


def _column(group: Any, name: str, kind: type, values: Sequence[Any]) -> None:
    import h5py

    filled = [_UNKNOWN[kind] if value is None else value for value in values]
    if kind is str:
        group.create_dataset(name, data=np.array(filled, object), dtype=h5py.string_dtype())
    else:
        group.create_dataset(name, data=np.array(filled, np.int64 if kind is int else np.float64))


def _scalars(kind: type[Any]) -> dict[str, type]:
    """Name and type of the fields that hold one number or text; what may be None by what it is otherwise."""
    found = {name: _scalar(hint) for name, hint in get_type_hints(kind).items()}
    return {name: hint for name, hint in found.items() if hint is not None}


def _scalar(hint: Any) -> type | None:
    if get_origin(hint) is Literal:
        return str
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not types.NoneType)
    return hint if hint in _UNKNOWN else None


def _parquet(path: Path, rows: Sequence[Row], about: Mapping[str, str]) -> None:
    arrow = _pyarrow()
    kinds = {int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    figure = arrow.struct([(name, kinds[hint]) for name, hint in {**_scalars(Energy), "net": float}.items()])
    fields = [(name, kinds[hint]) for name, hint in _scalars(Row).items()]
    schema = arrow.schema([*fields, ("energy", arrow.list_(figure))], metadata=dict(about))
    plainly = [{**plain.encode(row), "energy": [figure.to_dict() for figure in row.energy]} for row in rows]
    table = arrow.Table.from_pylist(plainly, schema=schema)
    importlib.import_module("pyarrow.parquet").write_table(table, path)


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise MissingDependency("results in Parquet", "pyarrow", "lab") from error


_WRITERS: Final[Mapping[str, Callable[[Path, Sequence[Row], Mapping[str, str]], None]]] = {
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".parquet": _parquet,
}
