"""The numbers of real sensors (thin first version)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nrt_sim.sensors.parameters import Parameters, Readout

_COMMON = dict(
    mismatch=0.03, dark=0.05, leak=0.1, leak_light=0.02, leak_mismatch=0.3,
    noise_dark=5.0, noise_bright=0.3, noise_corner=5.0, noise_mismatch=0.5, hot=0.0005,
)  # fmt: skip

PRESETS: Final[Mapping[str, Parameters]] = {
    "ideal": Parameters((128, 128)),
    "davis346": Parameters(
        (260, 346),
        on=0.2,
        off=0.2,
        bandwidth=3_000,
        corner=300,
        refractory=500,
        readout=Readout(row=40.0, event=83.0, quantum=1, depth=4096),
        **_COMMON,
    ),  # fmt: skip
}
