"""Tests of the GPU simulator compute with one thread, as a session on a small machine does."""

from __future__ import annotations

import pytest

from tests.engines import one_thread


@pytest.fixture(autouse=True, scope="session")
def torch_has_one_thread() -> None:
    one_thread()
