"""pytest's `--device URI`: runs the tests of DeviceConformance on a board that is attached.

`pytest -p nrt.testing.plugin --pyargs nrt.testing.attached --device tinyodin+serial:///dev/ttyACM0`
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --device."""
    parser.addoption(
        "--device",
        default="",
        metavar="URI",
        help="run nrt's device conformance tests on this device, such as tinyodin+serial:///dev/ttyACM0",
    )
