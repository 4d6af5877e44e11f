"""Ctrl-C and SIGTERM while something streams: once ends it in order, twice ends the program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def abandoned(clean: Callable[[], None]) -> Generator[None]:
    """While kernels compile, which nothing interrupts and nothing is lost by: a signal ends the program at once.

    clean: called before that.
    """
    loop = asyncio.get_running_loop()

    def end() -> None:
        clean()
        os._exit(130)

    try:
        for each in _SIGNALS:
            loop.add_signal_handler(each, end)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Generator[None]:
    """Calls `stop` on the first signal; the second has its usual effect. Used on a running event loop.

    On Windows, where a loop takes no signals, Ctrl-C ends the program at once.
    """
    loop = asyncio.get_running_loop()

    def once() -> None:
        ignore()
        stop()

    def ignore() -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)

    try:
        for each in _SIGNALS:
            loop.add_signal_handler(each, once)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        ignore()
