"""What every test shares: the folder of other people's data, and a guard against tasks left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

pytest_plugins = ["nrt.testing.plugin"]

settings.register_profile("nrt", deadline=None)  # kernels compile inside the first example
settings.load_profile("nrt")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with recordings, networks and traces; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the recordings and networks of ../shared/data are not here")
    return SHARED / "data"


@pytest_asyncio.fixture(autouse=True)
async def no_task_is_left_behind(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fails a test that leaves an asyncio task running."""
    yield
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("nrt")]
    assert not left, f"tasks left running: {left}"


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves one of nrt's threads running."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("nrt")]
    assert not left, f"threads left running: {left}"
