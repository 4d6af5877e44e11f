"""A report or a comparison as a file: JSON to be read again, or a page to be looked at, by the file's ending."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from nrt.errors import ConfigError

ENDINGS: Final = (".json", ".html")


class Savable(Protocol):
    """What can be kept as JSON and as a page."""

    def to_json(self) -> str:
        """As JSON."""
        ...

    def to_html(self) -> str:
        """As one HTML page."""
        ...


def check(path: Path) -> None:
    """Raises ConfigError for a file that could not be written in the end."""
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: name a file that ends in {' or '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.absolute().parent}")


def save(result: Savable, path: Path) -> None:
    """Writes `result` to `path`. Raises ConfigError where that cannot be."""
    check(path)
    text = result.to_html() if path.suffix == ".html" else result.to_json() + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
