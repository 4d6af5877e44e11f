"""Folders of recordings, found by content, and their labels.

Labels come from one of three places, looked for in this order:

* `labels.csv`: a line `recording,label` each, the path relative to the folder; a first line that says just that is
  skipped
* `labels.json`: `{"recording": "label", …}`, or `{"classes": ["cat", "dog"], "labels": {…}}` where the order of
  the classes matters
* sub-folders: each holds the recordings of one class and is named after it

Labels that are all whole numbers are class numbers themselves. Other names get numbers in alphabetical order, unless
the classes are given: in `labels.json`, or as `FOLDER?classes=cat,dog`. The other options after the question mark go to
every recording: `FOLDER?speed=1`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from nrt import formats
from nrt.dataset.dataset import Dataset, Sample
from nrt.errors import ConfigError, NotFound, StreamError

LABELS: Final = ("labels.csv", "labels.json")
MOST: Final = 10_000
"""Class numbers from here on are refused where no classes are given: they are something else, such as years."""


def recordings(sources: Sequence[str]) -> list[str]:
    """Folders become the recordings in them, in order of name, each with the folder's ?options.

    Raises NotFound for a folder without recordings.
    """
    found: list[str] = []
    for source in sources:
        folder, options = split(source)
        if not folder.is_dir():
            found.append(source)
            continue
        found += [_with(path, options) for path in _inside(folder)]
    return found


def unlabelled(sources: Sequence[str]) -> Dataset:
    """The recordings that `sources` name, folders and URIs, as a data set without labels. Raises NotFound."""
    found = recordings(sources)
    name = sources[0] if len(sources) == 1 else f"{len(sources)} sources"
    return Dataset(name, tuple(Sample(source, None, source) for source in found))


def labelled(text: str) -> Dataset:
    """The recordings in the folder that `text` names, with their labels. Raises ConfigError, NotFound."""
    folder, options = split(text)
    kept = [part for part in options.split("&") if part and not part.startswith("classes=")]
    given = [part.partition("=")[2] for part in options.split("&") if part.startswith("classes=")]
    declared = [unquote(name) for name in given[0].split(",")] if given else []
    listed, found = _listed(folder), _inside(folder)
    if listed is None:
        names = {path: _class_folder(folder, path) for path in found}
    else:
        declared = declared or listed[0]
        names = _match(folder, listed[1], found)
    classes = _classes(folder, sorted(set(names.values())), declared)
    samples = [
        Sample(_with(path.absolute(), "&".join(kept)), _number(name, classes), str(path.relative_to(folder)))
        for path, name in names.items()
    ]
    return Dataset(str(folder), tuple(samples), tuple(classes))


def split(text: str) -> tuple[Path, str]:
    """A folder's path and the options after it."""
    if Path(text).is_dir():
        return Path(text), ""
    path, _, options = text.partition("?")
    return Path(path), options


def _with(path: Path, options: str) -> str:
    return f"file:{quote(str(path))}?{options}" if options else str(path)


def _inside(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_recording(path)]
    if not found:
        raise NotFound(str(folder), f"no recording of a known format in {folder}")
    return found


def _is_recording(path: Path) -> bool:
    if path.name in LABELS:
        return False
    try:
        formats.identify(path)
    except StreamError:
        return False
    return True


def _class_folder(folder: Path, path: Path) -> str:
    inside = path.relative_to(folder).parts
    if len(inside) == 1:
        raise ConfigError(
            f"{path} has no label: put the recordings of each class into a sub-folder named after it, or list "
            f"them in {folder / LABELS[0]} as lines recording,label"
        )
    return inside[0]


def _listed(folder: Path) -> tuple[list[str], list[tuple[str, str]]] | None:
    """Classes, if given, and (recording, label) as the folder's list has them; None without a list."""
    table, tree = (folder / name for name in LABELS)
    if table.is_file() and tree.is_file():
        raise ConfigError(f"{folder} has both {LABELS[0]} and {LABELS[1]}; remove one")
    if table.is_file():
        return [], _from_csv(table)
    return _from_json(tree) if tree.is_file() else None


def _from_csv(path: Path) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for number, cells in enumerate(csv.reader(file), 1):
                if not cells or (
                    number == 1 and [c.strip().lower() for c in cells] == ["recording", "label"]
                ):
                    continue
                if len(cells) != 2 or not cells[1].strip():
                    raise ConfigError(f"{path}:{number}: write recording,label")
                rows.append((cells[0].strip(), cells[1].strip()))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(f"{path}: is no text of lines recording,label ({error})") from error
    return rows


def _from_json(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    wanted = 'write {"recording": "label"} or {"classes": ["a"], "labels": {"recording": "a"}}'

    def pairs(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return found  # a dictionary would drop a recording that is listed twice

    try:
        top = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=pairs)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is no JSON ({error}); {wanted}") from error
    if not isinstance(top, list) or not all(isinstance(pair, tuple) for pair in top):
        raise ConfigError(f"{path}: {wanted}")
    named = dict(top)
    classes, rows = (
        (named.get("classes"), named.get("labels")) if set(named) <= {"classes", "labels"} else (None, top)
    )
    if not isinstance(rows, list) or not isinstance(classes, list | None):
        raise ConfigError(f"{path}: {wanted}")
    for pair in rows:
        if not isinstance(pair, tuple) or not isinstance(pair[1], str | int) or isinstance(pair[1], bool):
            raise ConfigError(f"{path}: {wanted}")
    return [str(name) for name in classes or []], [(name, str(label)) for name, label in rows]


def _match(folder: Path, rows: Sequence[tuple[str, str]], found: Sequence[Path]) -> dict[Path, str]:
    """Label names of the recordings in `found`, which must be those of the list. Raises ConfigError."""
    place = {path.resolve(): path for path in found}
    names: dict[Path, str] = {}
    for recording, label in rows:
        path = place.get((folder / recording).resolve())
        if path is None:
            there = (folder / recording).is_file()
            reason = "is no recording of a known format" if there else "is not there"
            raise ConfigError(f"{folder}: {recording} has a label but {reason}")
        if path in names:
            raise ConfigError(f"{folder}: {recording} is listed twice, as {names[path]} and as {label}")
        names[path] = label
    missing = [path for path in found if path not in names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ConfigError(f"{folder}: {missing[0].relative_to(folder)}{more} has no label in its list")
    return {path: names[path] for path in found}


def _classes(folder: Path, names: Sequence[str], declared: Sequence[str]) -> list[str]:
    """The classes by number. Raises ConfigError for a label that is none of those declared."""
    if declared:
        unknown = [name for name in names if name not in declared]
        if unknown:
            raise ConfigError(f"{folder}: '{unknown[0]}' is no class; there is {', '.join(declared)}")
        if len(set(declared)) < len(declared):
            raise ConfigError(f"{folder}: a class is declared twice among {', '.join(declared)}")
        return list(declared)
    if not all(name.isascii() and name.isdigit() for name in names):
        return list(names)
    most = max(map(int, names))
    if most >= MOST:
        raise ConfigError(
            f"{folder}: label {most} as a class number would make {most + 1:,} classes; give them as ?classes=a,b"
        )
    return [str(k) for k in range(most + 1)]


def _number(name: str, classes: Sequence[str]) -> int:
    return classes.index(name) if name in classes else int(name)
