"""Finds out what the columns of a text file of events mean: separator, order, unit of time, sensor size.

A line that names the columns decides. Without one there are two orders in use: `t,x,y,p` (most software) and
`x,y,p,t` (Metavision): the polarity column holds nothing but polarities, and time never falls. Time with a
decimal point is in seconds, whole numbers are µs; a name such as `t_ms` overrides that.
Lines that begin with # or % are comments; of these `%geometry:W,H` (Metavision) gives the sensor size, as does
a first line of just two whole numbers (`W H`, as E2VID writes it).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

T, X, Y, P, IGNORED = 0, 1, 2, 3, 4

_NAMES: Final = {
    **dict.fromkeys(("t", "ts", "time", "timestamp", "timestamps"), T),
    "x": X,
    "y": Y,
    **dict.fromkeys(("p", "pol", "polarity", "on", "polarities"), P),
}
_UNITS: Final = {"us": 0, "µs": 0, "ms": 3, "s": 6, "sec": 6, "seconds": 6, "ns": -3}
_POLARITIES: Final = frozenset({"0", "1", "-1", "+1", "0.0", "1.0", "-1.0", "true", "false", "True", "False"})
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_GEOMETRY: Final = re.compile(r"[%#]\s*geometry\s*[:=]\s*(\d+)\s*[,x]\s*(\d+)\s*", re.IGNORECASE)
_TIME_NAME: Final = re.compile(r"([a-z]+?)(?:[_ ]?[\[(]?(us|µs|ms|s|sec|seconds|ns)[\])]?)?")
_LOOK_AT: Final = 256
_MOST_COLUMNS: Final = 16


@dataclass(frozen=True, slots=True)
class Columns:
    """How the lines of a text recording read.

    separator: one of `,`, `;`, tab, or a space (which stands for any run of spaces)
    roles: what each column is: T, X, Y, P or IGNORED
    exponent: power of ten from the unit of time to µs (6 for seconds)
    start: bytes before the first line of events
    shape: (2, height, width) if the file declares it
    """

    separator: str
    roles: tuple[int, ...]
    exponent: int
    start: int
    shape: tuple[int, int, int] | None


def find_columns(head: bytes, complete: bool) -> Columns | None:
    """The columns of a text recording that begins with `head`, or None where it is no such file.

    complete: whether `head` is the whole file; otherwise its last line is taken to be cut off.
    """
    lines = _lines(head, complete)
    shape: tuple[int, int, int] | None = None
    for i, (start, line) in enumerate(lines):
        geometry = _GEOMETRY.fullmatch(line)
        if geometry:
            shape = (2, int(geometry[2]), int(geometry[1]))
        if not line or line[0] in "#%":
            continue
        separator = _separator(line)
        cells = split(line, separator)
        if len(cells) == 2 and all(cell.isdecimal() for cell in cells) and shape is None:
            shape = (2, int(cells[1]), int(cells[0]))
            continue
        if all(_is_value(cell) for cell in cells):
            return _by_plausibility(lines[i:], separator, start, shape)
        after = lines[i + 1][0] if i + 1 < len(lines) else len(head)
        return _by_name(cells, lines[i + 1 :], separator, after, shape)
    return None


def split(line: str, separator: str) -> list[str]:
    """The cells of a line, without the blanks around them."""
    return line.split() if separator == " " else [cell.strip() for cell in line.split(separator)]


def _lines(head: bytes, complete: bool) -> list[tuple[int, str]]:
    """(offset, text) of the first lines; none at all if `head` is not text."""
    found: list[tuple[int, str]] = []
    at = 0
    while at < len(head) and len(found) < _LOOK_AT:
        stop = head.find(b"\n", at)
        if stop < 0:
            if not complete:
                break
            stop = len(head)
        raw = head[at:stop].rstrip(b"\r")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return []
        if not text.replace("\t", " ").isprintable():
            return []
        found.append((at, text.strip()))
        at = stop + 1
    return found


def _separator(line: str) -> str:
    return next((s for s in (";", ",", "\t") if s in line), " ")


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) or cell in _POLARITIES


def _data(lines: Sequence[tuple[int, str]], separator: str, width: int) -> list[list[str]]:
    """The cells of the lines of events, all `width` wide and numbers; none if a line is anything else."""
    rows = [split(line, separator) for _, line in lines if line and line[0] not in "#%"]
    good = all(len(row) == width and all(_is_value(cell) for cell in row) for row in rows)
    return (
        rows if good else rows[:1] if rows and len(rows[0]) == width and all(map(_is_value, rows[0])) else []
    )


def _role(name: str) -> tuple[int, int | None]:
    """What a named column is, and its unit of time if the name has one."""
    name = name.strip("\"'").lower()
    match = _TIME_NAME.fullmatch(name)
    if name in _NAMES:
        return _NAMES[name], None
    if match and _NAMES.get(match[1]) == T and match[2]:
        return T, _UNITS[match[2]]
    return IGNORED, None


def _by_name(
    names: Sequence[str],
    lines: Sequence[tuple[int, str]],
    separator: str,
    start: int,
    shape: tuple[int, int, int] | None,
) -> Columns | None:
    found = [_role(name) for name in names]
    roles = tuple(role for role, _ in found)
    if any(roles.count(role) != 1 for role in (T, X, Y, P)) or len(roles) > _MOST_COLUMNS:
        return None
    unit = found[roles.index(T)][1]
    if unit is None:
        rows = _data(lines, separator, len(names))
        unit = _unit(rows[0][roles.index(T)]) if rows else 0
    return Columns(separator, roles, unit, start, shape)


def _unit(time: str) -> int:
    return 6 if "." in time or "e" in time.lower() else 0


def _by_plausibility(
    lines: Sequence[tuple[int, str]], separator: str, start: int, shape: tuple[int, int, int] | None
) -> Columns | None:
    rows = _data(lines, separator, 4)
    candidates = [roles for roles in ((T, X, Y, P), (X, Y, P, T)) if _fits(rows, roles)]
    if not rows or not candidates:
        return None
    roles = max(candidates, key=lambda roles: _likelihood(rows, roles.index(T)))
    return Columns(separator, roles, _unit(rows[0][roles.index(T)]), start, shape)


def _fits(rows: Sequence[Sequence[str]], roles: Sequence[int]) -> bool:
    p, x, y, t = (roles.index(role) for role in (P, X, Y, T))
    return all(
        row[p] in _POLARITIES and row[t] not in ("true", "false", "True", "False") and _is_address(row[x])
        and _is_address(row[y])
        for row in rows
    )  # fmt: skip


def _is_address(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) and 0 <= float(cell) <= 65535 and float(cell).is_integer()


def _likelihood(rows: Sequence[Sequence[str]], column: int) -> tuple[bool, float]:
    """How much a column looks like time: never falling, and large."""
    values = [float(row[column]) for row in rows]
    return all(a <= b for a, b in pairwise(values)), max(values)
