"""DeviceConformance over the Speck driver on its emulated board."""

from __future__ import annotations

from typing import ClassVar

from nrt.testing import DeviceConformance


class TestSpeck(DeviceConformance):
    uri = "speck+emu:"
    patience: ClassVar[float] = 110.0  # the emulated board may have to be compiled first


class TestSpeckThroughItsDvsLayer(TestSpeck):
    uri = "speck+emu:?input=dvs"
