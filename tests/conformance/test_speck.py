"""DeviceConformance over the Speck driver on its emulated board."""

from __future__ import annotations

from nrt.testing import DeviceConformance


class TestSpeck(DeviceConformance):
    uri = "speck+emu:"


class TestSpeckThroughItsDvsLayer(DeviceConformance):
    uri = "speck+emu:?input=dvs"
