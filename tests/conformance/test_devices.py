"""DeviceConformance over every device that needs no hardware."""

from __future__ import annotations

from typing import ClassVar

from nrt.testing import DeviceConformance
from nrt.testing.attached import TestAttached as TestAttached


class TestReference(DeviceConformance):
    uri = "reference:"


class TestCpu(DeviceConformance):
    uri = "cpu:"


class TestTorch(DeviceConformance):
    uri = "torch:cpu"


class TestNull(DeviceConformance):
    uri = "null:"
    answers: ClassVar[bool] = False
