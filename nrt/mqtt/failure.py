"""What broke a connection, among all that failed because of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from nrt.errors import NrtError


@contextlib.asynccontextmanager
async def first_failure() -> AsyncGenerator[None]:
    """Raises of a group's errors the one that says what happened: a lost connection fails all tasks at once."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        strange = [each for each in leaves if not isinstance(each, NrtError)]
        raise (strange or leaves)[0] from None


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]
