"""Ctrl-C and SIGTERM: the first ends what goes on in order, the second ends the program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator
from typing import Any, Final

_USUAL: Final[dict[signal.Signals, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Generator[None]:
    """Calls `stop` on the first signal, on the running event loop if there is one; a second one ends the program."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        act = stop
    else:

        def act() -> None:
            loop.call_soon_threadsafe(stop)

    with _on_signal(act):
        yield


@contextlib.contextmanager
def abandoned(clean: Callable[[], None]) -> Generator[None]:
    """While kernels compile, which nothing interrupts and nothing is lost by: a signal ends the program at once.

    clean: called before that.
    """

    def end() -> None:
        clean()
        os._exit(130)

    with _on_signal(end):
        yield


@contextlib.contextmanager
def _on_signal(act: Callable[[], None]) -> Generator[None]:
    """Calls `act` on the first signal, between two instructions of the main thread."""
    before = {each: signal.getsignal(each) for each in _USUAL}

    def once(number: int, frame: object) -> None:
        for each, usual in _USUAL.items():
            signal.signal(each, usual)
        act()

    for each in _USUAL:
        signal.signal(each, once)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
