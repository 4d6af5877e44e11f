"""`tonic:NAME?split=test`: a data set of tonic (https://tonic.readthedocs.io) that is on disk already.

tonic hands out arrays, one process at a time. So that any process, also on another machine, can open a sample by
itself, every sample is written once as a recording of nrt, and the folder of them is the data set from then on
(`nrt.dataset.folder`). `labels.json` is written last: a folder without it is made anew.

Nothing is downloaded. Which subset a class of tonic means is said by its argument train or split.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import tonic.datasets as published

from nrt import formats
from nrt.dataset.dataset import Dataset
from nrt.dataset.folder import labelled
from nrt.errors import ConfigError, NotFound
from nrt.packet import EVENT, Records, events_from_array
from nrt.uri import Uri

_LIST: Final = "labels.json"


def tonic(
    uri: Uri, *, split: Literal["train", "valid", "test"] = "test", root: str = "data", cache: str = ""
) -> Dataset:
    """The data set in `root` (tonic's save_to), as recordings in `cache` (default: ~/.cache/nrt/tonic).

    Raises NotFound where tonic has no such data set or it is not on disk, ConfigError where it has no labels.
    """
    names = sorted(published.__all__)
    if uri.place not in names:
        raise NotFound(uri.place, f"tonic has no data set '{uri.place}'; there is {', '.join(names)}", names)
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "nrt" / "tonic"
    folder = base.expanduser() / f"{uri.place}-{split}"
    if not (folder / _LIST).is_file():
        _convert(_open(uri.place, split, root), folder)
    found = labelled(str(folder))
    return Dataset(str(uri), found.samples, found.classes)


def _open(name: str, split: str, root: str) -> Any:
    """tonic's object. Raises NotFound instead of downloading."""
    made = getattr(published, name)
    known = inspect.signature(made.__init__).parameters
    if "split" in known:
        subset: dict[str, Any] = {"split": split}
    elif "train" in known and split != "valid":
        subset = {"train": split == "train"}
    elif split == "test":
        subset = {}  # it has no subsets
    else:
        raise ConfigError(f"tonic:{name} has no subset '{split}'")
    call = f"tonic.datasets.{name}({', '.join(f'{k}={v!r}' for k, v in {'save_to': root, **subset}.items())})"
    where = Path(root).expanduser().absolute()

    def refuse(self: object) -> None:
        raise NotFound(
            name,
            f"tonic:{name} is not in {where}: get it once with {call}, or say where it is with root=FOLDER",
        )

    local: Any = type(
        name, (made,), {"download": refuse}
    )  # tonic takes the folder from the name of the class
    try:
        return local(save_to=root, **subset)
    except (OSError, RuntimeError, ValueError) as error:
        raise NotFound(name, f"tonic:{name} cannot be read in {where}: {error}") from error


def _convert(samples: Any, folder: Path) -> None:
    """Every sample as a recording in `folder`, then the list of their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    name = type(samples).__name__
    labels: dict[str, str] = {}
    for index in range(len(samples)):
        array, target = samples[index]
        if not isinstance(target, int | np.integer) or not isinstance(array, np.ndarray):
            raise ConfigError(f"tonic:{name} has no class for each recording, as a data set needs")
        label = int(target)
        path = folder / f"{index:06d}.h5"
        shape = _shape(samples, array)
        with formats.create(path, "hdf5", shape) as writer:
            writer.write(_events(array, shape))
        labels[path.name] = str(label)
    classes = [str(k) for k in range(max(map(int, labels.values()), default=-1) + 1)]
    made = folder / f"{_LIST}.part"
    made.write_text(json.dumps({"classes": classes, "labels": labels}), encoding="utf-8")
    made.replace(folder / _LIST)


def _shape(samples: Any, array: np.ndarray[Any, Any]) -> tuple[int, int, int]:
    """(P, H, W) of the sensor; where it differs between recordings, what this one reaches."""
    size: Sequence[int] | None = samples.sensor_size
    if size is not None:
        return int(size[2]), int(size[1]), int(size[0])
    return 2, int(array["y"].max(initial=0)) + 1, int(array["x"].max(initial=0)) + 1


def _events(array: np.ndarray[Any, Any], shape: tuple[int, int, int]) -> Records:
    """EVENT records in time order; audio has no y, and the polarity of a single channel is 0."""
    names = array.dtype.names or ()
    if "y" in names and shape[0] > 1:
        events = events_from_array(array)
    else:
        events = np.zeros(len(array), EVENT)
        for column in set(names) & {"t", "x", "y"}:
            events[column] = array[column]
    return events[np.argsort(events["t"], kind="stable")]
