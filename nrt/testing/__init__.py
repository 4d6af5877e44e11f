"""Tests that a device must pass, to be inherited by whoever writes one, and what they are made of. Needs pytest."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("nrt.testing.conformance", "nrt.testing.source")

from nrt.testing.conformance import DeviceConformance  # noqa: E402  its asserts are rewritten first
from nrt.testing.source import SourceConformance  # noqa: E402
from nrt.testing.stimulus import Script, events, small, spaced  # noqa: E402

__all__ = ["DeviceConformance", "Script", "SourceConformance", "events", "small", "spaced"]
