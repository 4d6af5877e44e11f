"""The journal of a sweep: one line of JSON per row, appended and on disk before the row counts as done.

Whatever ends a sweep, its journal holds every finished row. What a killed process left of a last line is cut off; any
other damage is refused by line, never repaired in silence. One process at a time may write (flock). The file is the
truth that results are made from; it is never rewritten.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from nrt import plain
from nrt.errors import ConfigError, NrtError
from nrt.sweep.item import Row

SUFFIX: Final = ".journal"
_HEADER: Final = b'{"nrt-sweep": 1}\n'


class Journal:
    """Rows on disk; use it with `with`. rows: by id, what was there and what was added.

    Raises ConfigError for a file that is no journal, is damaged, or is being written by another sweep.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        self._file = -1
        self._size = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            stack.callback(self._close)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"{self.path}: another sweep is writing to it; wait for it or choose another --out"
                ) from error
            self._read()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._close()

    def append(self, row: Row) -> bool:
        """Keeps `row`, on disk when this returns; False where the item has one without an error already.

        Raises NrtError where the disk is full; the journal is then as it was before.
        """
        if not self._supersedes(row):
            return False
        self._write(json.dumps(plain.encode(row), separators=(",", ":")).encode() + b"\n")
        self.rows[row.id] = row
        return True

    def _supersedes(self, row: Row) -> bool:
        """A row counts once; a second try at one that failed takes its place."""
        known = self.rows.get(row.id)
        return known is None or bool(known.error)

    def _read(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise ConfigError(f"{self.path} is no file; choose another --out")
        with open(self._file, "rb", closefd=False) as file:
            data = file.read()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines(keepends=True)
        if (lines and lines[0] != _HEADER) or (not lines and not _HEADER.startswith(data)):
            raise ConfigError(f"{self.path} is no journal of a sweep; choose another --out")
        for number, line in enumerate(lines[1:], 2):
            row = self._row(number, line)
            if self._supersedes(row):
                self.rows[row.id] = row
        os.ftruncate(self._file, whole)
        self._size = whole
        if not lines:
            self._write(_HEADER)

    def _row(self, number: int, line: bytes) -> Row:
        try:
            return plain.decode(Row, json.loads(line))
        except (ValueError, ConfigError) as error:
            raise ConfigError(
                f"{self.path}:{number}: damaged ({error}); remove that line, and its recording is run again"
            ) from error

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._size + written)
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise NrtError(
                f"{self.path}: {error.strerror}; free some room and run the same command again"
            ) from error
        self._size += len(line)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
