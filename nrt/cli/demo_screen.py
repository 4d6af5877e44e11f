"""The demo's terminal is drawn by a process of its own.

Drawing takes 3 to 5 ms and holds the interpreter lock: in the run's own process every packet due meanwhile would be
late by as much, twelve times a second.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.live import Live

_PATIENCE: Final = 5.0
"""Seconds to wait for the last picture."""


class Screen:
    """A process that draws looks; `with` it. While it draws one, the looks that come are left out."""

    def __init__(self, *, stderr: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_draw, args=(far, stderr), name="nrt.screen", daemon=True)
        self._process.start()
        far.close()
        self._free = False

    def wait(self) -> None:
        """Returns when the process can draw at once: before a run, so that its start disturbs none of it."""
        with contextlib.suppress(OSError, EOFError):
            self._free = self._free or (self._pipe.poll(_PATIENCE) and bool(self._pipe.recv()))

    def show(self, seen: RenderableType) -> None:
        """Hands over a look if the one before was drawn; never waits."""
        with contextlib.suppress(OSError, EOFError):  # a terminal that is gone does not end the run
            self._free = self._free or (self._pipe.poll() and bool(self._pipe.recv()))
            if self._free:
                self._free = False
                self._pipe.send(seen)

    def last(self, seen: RenderableType) -> None:
        """Shows a look once the process is free for it."""
        self.wait()
        self.show(seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _draw(pipe: Connection, stderr: bool) -> None:
    """Draws what comes until the pipe is closed; sends True whenever it is ready for the next look."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the demo itself answers Ctrl-C, and closes the pipe
    with contextlib.suppress(AttributeError, OSError):
        os.nice(19)
    with (
        Live(console=Console(stderr=stderr), auto_refresh=False) as live,
        contextlib.suppress(OSError, EOFError),
    ):
        while True:
            pipe.send(True)
            live.update(pipe.recv(), refresh=True)
