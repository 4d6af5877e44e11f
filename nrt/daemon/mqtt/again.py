"""A connection that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nrt.clock import now
from nrt.daemon.backoff import Backoff
from nrt.errors import NrtError
from nrt.mqtt.connection import Connection
from nrt.mqtt.dialer import Dialer

MOST: Final = 15.0
"""Seconds between two attempts to reach the broker, at most."""

_log = logging.getLogger("nrt.daemon")


async def stay_connected(
    dialer: Dialer, filters: tuple[str, ...], serve: Callable[[Connection], Awaitable[None]], complaint: str
) -> None:
    """Has `serve` use one connection after the other, each subscribed to `filters`, until it is cancelled.

    complaint: what the log says of a failure, with %s for it; once, not with every attempt that fails alike
    """
    backoff, told = Backoff(most=MOST), ""
    while True:
        began = now()
        try:
            async with dialer.connect(*filters) as connection:
                backoff.reset()
                told = ""
                await serve(connection)
        except NrtError as error:
            if str(error) != told:
                _log.warning(complaint, error)
                told = str(error)
        await asyncio.sleep(backoff.next((now() - began) / 1e9))
