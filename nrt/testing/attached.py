"""The conformance tests on the device that `pytest --device URI` names; skipped without it."""

from __future__ import annotations

import pytest

from nrt.device import Device
from nrt.registry import device as registered
from nrt.testing.conformance import DeviceConformance


class TestAttached(DeviceConformance):
    """A board on the desk."""

    @pytest.fixture(autouse=True)
    def _named(self, request: pytest.FixtureRequest) -> None:
        self._name = str(request.config.getoption("--device"))

    def device(self) -> Device:
        """The device that --device names."""
        if not self._name:
            pytest.skip("no board: name one with --device URI")
        return registered(self._name)
