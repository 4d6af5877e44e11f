"""What the name of a data set means: a folder, or a row of the registry's table of data sets."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from nrt import registry
from nrt.dataset.dataset import Dataset
from nrt.dataset.folder import labelled, split
from nrt.errors import NotFound
from nrt.uri import Uri


def load(text: str | Path) -> Dataset:
    """The data set that `text` names: a folder of recordings with labels, `digits`, `tonic:NAME?split=test`.

    A folder may have options, see `nrt.dataset.folder`; where a folder is called like a data set of the table, write
    ./digits for the folder and digits: for the data set. Raises NotFound, ConfigError, MissingDependency.
    """
    text = str(text)
    known = registry.table("datasets")
    uri = _row(text, known)
    if uri is not None:
        made: Dataset = registry.make(uri, "datasets")
        return made
    if split(text)[0].is_dir():
        return labelled(text)
    raise NotFound(
        text, f"no data set '{text}': it is no folder, and there is {', '.join(known)}", list(known)
    )


def _row(text: str, known: Container[str]) -> Uri | None:
    """`text` as a URI of the table; None where it names none. A bare name stands for itself with a colon."""
    scheme, colon, _ = text.partition(":")
    if colon and scheme in known:
        return Uri.parse(text)
    name, mark, options = text.partition("?")
    if name in known and not Path(name).is_dir():
        return Uri.parse(f"{name}:{mark}{options}")
    return None
