"""Finding a definition: by its name in the package firmware_specs, or by the path of a file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from nrt.errors import NotFound, SpecError
from nrt.spec.read import read_spec
from nrt.spec.spec import Spec


def names() -> tuple[str, ...]:
    """The definitions that come with nrt."""
    files = resources.files("firmware_specs").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load(name: str | Path) -> Spec:
    """The definition of that name (`tinyodin`) or in that file (`my/chip.toml`). Raises NotFound, SpecError."""
    if isinstance(name, str) and not name.endswith(".toml"):
        return _built_in(name)
    return load_file(Path(name))


def load_file(path: Path) -> Spec:
    """The definition in a file. Raises NotFound, SpecError."""
    return read_spec(path, read_text(path))


def read_text(path: Path) -> str:
    """The text of a definition. Raises NotFound where it cannot be read, SpecError where it is not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(str(path), f"cannot read {path}: {error.strerror or error}") from error
    return decode(path, data)


def decode(path: Path, data: bytes) -> str:
    """`data` as text; `path` is for messages. Raises SpecError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(path, line, "this line is not UTF-8") from None


@cache
def _built_in(name: str) -> Spec:
    file = resources.files("firmware_specs") / f"{name}.toml"
    if name not in names():
        raise NotFound(name, f"no definition {name}; there are {', '.join(names())}", names())
    path = Path(str(file))
    return read_spec(path, decode(path, file.read_bytes()))
