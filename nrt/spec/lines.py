"""Where in a TOML document each key and table stands, which tomllib does not say.

`locate` scans a document that tomllib has accepted, so it may trust the grammar: it follows strings, comments,
brackets and dots, and nothing else. A place is the path of keys and array indices as tomllib would return them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

Path = tuple[str | int, ...]

_QUOTES: Final = ('"""', "'''", '"', "'")
_BLANK: Final = " \t\r\n"


def locate(text: str) -> dict[Path, int]:
    """The line, from 1, of every key, table and array element of a valid TOML document."""
    return _Scanner(text).run()


def nearest(lines: Mapping[Path, int], place: Sequence[str | int]) -> int:
    """The line of a place, or of the innermost thing around it that has one."""
    for length in range(len(place), 0, -1):
        if tuple(place[:length]) in lines:
            return lines[tuple(place[:length])]
    return 1


class _Scanner:
    """One pass over the text; `at` is where it is."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}
        """Elements so far of each array of tables."""

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip():
            if self._peek("[["):
                table = self._array_header()
            elif self._peek("["):
                self._take(1)
                table = self._resolve(self._key())
                self._note(table)
                self._find("]")
            else:
                self._pair(table)
        return self._lines

    def _array_header(self) -> Path:
        self._take(2)
        key = self._key()
        name = (*self._resolve(key[:-1]), key[-1])
        index = self._elements.get(name, -1) + 1
        self._elements[name] = index
        self._note((*name, index))
        self._find("]]")
        return (*name, index)

    def _resolve(self, key: Path) -> Path:
        """The path of a header's key: each array of tables on the way means its last element."""
        path: Path = ()
        for part in key:
            path = (*path, part)
            if path in self._elements:
                path = (*path, self._elements[path])
        return path

    def _pair(self, table: Path) -> None:
        path = (*table, *self._key())
        self._note(path)
        self._find("=")
        self._skip()
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline(path)
        elif self._string() is None:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._take(1)

    def _array(self, path: Path) -> None:
        self._take(1)
        index = 0
        while self._skip() and not self._peek("]"):
            self._note((*path, index))
            self._value((*path, index))
            index += 1
            self._comma()
        self._take(1)

    def _inline(self, path: Path) -> None:
        self._take(1)
        while self._skip() and not self._peek("}"):
            self._pair(path)
            self._comma()
        self._take(1)

    def _comma(self) -> None:
        self._skip()
        if self._peek(","):
            self._take(1)

    def _key(self) -> Path:
        """A dotted key; stops at what follows it."""
        parts: list[str] = []
        while self._skip():
            quoted = self._string()
            if quoted is None:
                begin = self._at
                while self._at < len(self._text) and self._text[self._at] not in " \t\r\n.=]":
                    self._take(1)
                quoted = self._text[begin : self._at]
            parts.append(quoted)
            self._skip()
            if not self._peek("."):
                break
            self._take(1)
        return tuple(parts)

    def _string(self) -> str | None:
        """The string that begins here, read over; None if none does."""
        quote = next((q for q in _QUOTES if self._peek(q)), None)
        if quote is None:
            return None
        begin = self._at
        self._take(len(quote))
        while not self._peek(quote):
            self._take(2 if self._peek("\\") and quote[0] == '"' else 1)
        self._take(len(quote))
        while len(quote) == 3 and self._peek(quote[0]):  # a quote or two may stand before the closing three
            self._take(1)
        literal = self._text[begin : self._at]
        return str(tomllib.loads(f"k={literal}")["k"]) if "\\" in literal else literal[1:-1]

    def _skip(self) -> bool:
        """Goes to the next character that is no blank and in no comment; False at the end."""
        while self._at < len(self._text):
            if self._peek("#"):
                while self._at < len(self._text) and not self._peek("\n"):
                    self._take(1)
            elif self._text[self._at] in _BLANK:
                self._take(1)
            else:
                return True
        return False

    def _find(self, mark: str) -> None:
        self._skip()
        self._take(len(mark))

    def _peek(self, mark: str) -> bool:
        return self._text.startswith(mark, self._at)

    def _take(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _note(self, path: Path) -> None:
        """This line is that of the path, and of what it is in where that was not named before."""
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], self._line)
