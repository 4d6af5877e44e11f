"""The daemon's log: lines for people or JSON for machines, the last ones kept for the dashboard, secrets as stars."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from nrt.daemon.config import LogConfig
from nrt.daemon.notice import Json
from nrt.daemon.table import Secret

KEPT: Final = 1_000
"""Lines that `Recent` keeps."""
_MOST: Final = 4_000
"""Characters of one message; a hostile payload that is quoted is cut there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the log. time: Unix seconds. pipeline: "" where it is of none."""

    time: float
    level: str
    pipeline: str
    message: str

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        return {"time": self.time, "level": self.level, "pipeline": self.pipeline, "message": self.message}

    def __str__(self) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.time))
        who = f"{self.pipeline}: " if self.pipeline else ""
        return f"{stamp}.{int(self.time % 1 * 1e3):03}Z {self.level:<7} {who}{self.message}"


class Recent(logging.Handler):
    """Keeps the last lines and tells whoever listens of new ones. Hides what `hide` was told of, in every output."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[Line], None]] = []
        self._hidden: set[str] = set()

    def hide(self, secret: Secret) -> None:
        """From now on that text is never printed."""
        self._hidden.add(secret.reveal())

    def line(self, record: logging.LogRecord) -> Line:
        """A record of `logging` as one line, on which no control character can begin another."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        for secret in self._hidden:
            message = message.replace(secret, "***")
        if len(message) > _MOST:
            message = message[:_MOST] + " …"
        pipeline = str(getattr(record, "pipeline", ""))
        return Line(record.created, record.levelname.lower(), pipeline, _printable(message))

    def emit(self, record: logging.LogRecord) -> None:
        line = self.line(record)
        self._lines.append(line)
        for take in tuple(self._listeners):
            try:
                take(line)
            except Exception:
                self._listeners.remove(take)

    def recent(self, count: int = KEPT) -> list[Line]:
        """The last lines, oldest first."""
        return list(self._lines)[-count:]

    def listen(self, take: Callable[[Line], None]) -> Callable[[], None]:
        """Has `take` called with every new line, from whatever thread logs. Returns what ends that."""
        self._listeners.append(take)

        def end() -> None:
            if take in self._listeners:
                self._listeners.remove(take)

        return end


class _Print(logging.Handler):
    """Writes every line to a stream, as text or JSON; a reader that is gone is no reason to stop."""

    def __init__(self, recent: Recent, stream: IO[str], *, as_json: bool) -> None:
        super().__init__()
        self._recent, self._stream, self._as_json = recent, stream, as_json

    def emit(self, record: logging.LogRecord) -> None:
        line = self._recent.line(record)
        text = json.dumps(line.to_dict(), ensure_ascii=False) if self._as_json else str(line)
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


def setup(config: LogConfig, recent: Recent, stream: IO[str] | None = None) -> Callable[[], None]:
    """Has the loggers of nrt write as `config` says. Returns what takes that back."""
    root = logging.getLogger("nrt")
    handlers = (recent, _Print(recent, stream or sys.stderr, as_json=config.format == "json"))
    before = root.level, root.propagate
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(config.level.upper())
    root.propagate = False

    def undo() -> None:
        for handler in handlers:
            root.removeHandler(handler)
        root.level, root.propagate = before
        root.setLevel(before[0])

    return undo


def _printable(text: str) -> str:
    """Without control characters, that would write on somebody's terminal; line ends within stay."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
