"""The numbers of real sensors, each with where it comes from.

Makers publish thresholds, event rates and time stamps; hardly anybody publishes how noise depends on light, or what
bandwidth a pixel has at which illuminance, and bias settings change all of it. `SOURCES` says for every number of
every preset whether it is cited (from whom) or assumed (and why so). A preset is a plausible camera of that name,
not a calibrated one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nrt_sim.sensors.parameters import Parameters, Readout

_SURVEY = "cited: Gallego et al., Event-based Vision: A Survey, IEEE TPAMI 44(1), 2022, table of cameras"
_DVS128 = "cited: Lichtsteiner, Posch, Delbruck, A 128x128 120 dB 15 us latency sensor, IEEE JSSC 43(2), 2008"
_DND21 = (
    "cited: Guo, Delbruck, DND21 (sites.google.com/view/dnd21): leak about 0.2 Hz, shot about 10 Hz per pixel"
)
_NOZAKI = "assumed, of the size that Nozaki and Delbruck give (parasitic photocurrent, IEEE TED 64(8), 2017)"
_V2E = "cited: v2e's default (Hu, Liu, Delbruck, CVPR Workshops 2021; SensorsINI/v2e)"
_INIVATION = "cited: iniVation's product page of the DVXplorer"
_PROPHESEE = "cited: Prophesee and Sony, product brief of the IMX636"

_ASSUMED: Final[Mapping[str, str]] = {
    "dark": "assumed: a dark current worth 0.05 lux gives the 120 dB of the survey's table below 50 klux",
    "corner": "assumed: bandwidth in proportion to light up to a few hundred lux, as JSSC 2008 describes it",
    "leak_light": _NOZAKI,
    "leak_mismatch": "assumed: v2e's leak jitter is log-normal too",
    "noise_bright": "assumed: leak events dominate in bright light (Graca, Delbruck, IISW 2021)",
    "noise_corner": "assumed: shot noise counts below some lux (Graca, Delbruck, IISW 2021)",
    "noise_mismatch": "assumed: as v2e's noise_rate_cov_decades, 0.1 decades, and as much again from the thresholds",
    "hot": "assumed: 0.05 %, in the range of 0.01 to 0.1 % seen in recordings",
    "hot_low": "assumed: ten times the shot noise",
    "hot_high": "assumed: limited by the refractory period in the worst case",
    "refractory": "assumed: it is a bias, usually of 0.1 to 1 ms",
    "readout.row": "assumed: makers give rates, not how they come about",
    "readout.depth": "assumed: a few USB packets",
}


def _parameters(shape: tuple[int, int], readout: Readout, **own: float) -> Parameters:
    """What all presets have in common, and what is the sensor's own."""
    usual: dict[str, float] = {
        "dark": 0.05, "corner": 300.0, "leak_light": 0.02, "leak_mismatch": 0.3, "noise_bright": 0.02,
        "noise_corner": 5.0, "noise_mismatch": 0.4, "hot": 0.0005, "hot_low": 10.0, "hot_high": 1_000.0,
    }  # fmt: skip
    numbers = usual | own
    refractory = int(numbers.pop("refractory"))
    return Parameters(shape, readout=readout, refractory=refractory, **numbers)


PRESETS: Final[Mapping[str, Parameters]] = {
    "ideal": Parameters((128, 128)),
    "dvs128": _parameters(
        (128, 128),
        Readout(row=0.0, event=1_000.0, quantum=1, depth=4_096),
        on=0.17,
        off=0.17,
        mismatch=0.021,
        bandwidth=3_000.0,
        leak=0.05,
        noise_dark=5.0,
        refractory=500,
    ),
    "davis346": _parameters(
        (260, 346),
        Readout(row=0.0, event=83.3, quantum=1, depth=8_192),
        on=0.2,
        off=0.2,
        mismatch=0.03,
        bandwidth=3_000.0,
        leak=0.2,
        noise_dark=10.0,
        refractory=500,
    ),
    "dvxplorer": _parameters(
        (480, 640),
        Readout(row=10.0, event=6.06, quantum=200, depth=65_536),
        on=0.2,
        off=0.2,
        mismatch=0.03,
        bandwidth=1_000.0,
        leak=0.1,
        noise_dark=5.0,
        refractory=200,
    ),
    "gen4": _parameters(
        (720, 1280),
        Readout(row=5.0, event=0.94, quantum=1, depth=262_144),
        on=0.25,
        off=0.25,
        mismatch=0.03,
        bandwidth=3_000.0,
        leak=0.05,
        noise_dark=2.0,
        refractory=300,
    ),
    "speck": _parameters(
        (128, 128),
        Readout(row=0.0, event=100.0, quantum=1, depth=4_096),
        on=0.2,
        off=0.2,
        mismatch=0.03,
        bandwidth=3_000.0,
        leak=0.1,
        noise_dark=5.0,
        refractory=500,
    ),
}
"""By name: ideal (no noise, no readout), dvs128, davis346, dvxplorer, gen4 (IMX636), speck (its 128x128 pixels)."""

_NOBODY = "assumed: nobody published it; as the DAVIS346"

_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "dvs128": {
        "shape": _DVS128,
        "on": _SURVEY + ": 17 %",
        "off": _SURVEY + ": 17 %",
        "mismatch": _DVS128 + ": 2.1 % contrast",
        "bandwidth": _DVS128 + ": 3 kHz in bright light",
        "leak": _SURVEY + ": stationary noise 0.05 Hz",
        "noise_dark": "assumed: v2e's 'noisy' setting, 5 Hz",
        "readout.event": _SURVEY + ": 1 million events/s",
        "readout.quantum": _DVS128 + ": 1 µs stamps of the board",
    },
    "davis346": {
        "shape": _SURVEY,
        "on": _SURVEY + ": 14.3 to 22.5 %",
        "off": _SURVEY + ": 14.3 to 22.5 %",
        "mismatch": _V2E + ": 0.03",
        "bandwidth": "assumed: as the DVS128, whose pixel it inherits",
        "leak": _DND21,
        "noise_dark": _DND21,
        "readout.event": _SURVEY + ": 12 million events/s",
        "readout.quantum": "cited: libcaer, time stamps of 1 µs",
    },
    "dvxplorer": {
        "shape": _INIVATION,
        "on": _INIVATION + ": 13 to 27.5 %",
        "off": _INIVATION + ": 13 to 27.5 %",
        "mismatch": _V2E + ": 0.03",
        "bandwidth": "assumed: response latency below 1 ms",
        "leak": _NOBODY,
        "noise_dark": "assumed: v2e's 'noisy' setting, 5 Hz",
        "readout.event": _INIVATION + ": 165 million events/s",
        "readout.quantum": _INIVATION + ": time resolution 65 to 200 µs",
    },
    "gen4": {
        "shape": _PROPHESEE,
        "on": _PROPHESEE + ": nominal contrast threshold 25 %",
        "off": _PROPHESEE + ": nominal contrast threshold 25 %",
        "mismatch": _V2E + ": 0.03",
        "bandwidth": "assumed: latency of 0.1 to 0.2 ms in bright light",
        "leak": "assumed: a quarter of the DAVIS346's",
        "noise_dark": "assumed: a fifth of the DAVIS346's",
        "readout.event": _SURVEY + ": 1066 million events/s",
        "readout.quantum": "cited: EVT3 has 1 µs stamps (docs.prophesee.ai)",
    },
    "speck": {
        "shape": "cited: SynSense, Speck development kit: 128x128 pixels on the chip",
        **dict.fromkeys(("on", "off", "mismatch", "bandwidth", "leak"), _NOBODY),
        "noise_dark": "assumed: v2e's 'noisy' setting, 5 Hz",
        "readout.event": "assumed: 10 million events/s; its bus to the network is asynchronous",
        "readout.quantum": "assumed: 1 µs, the unit of samna's stamps",
    },
}

SOURCES: Final[Mapping[str, Mapping[str, str]]] = {name: {**_ASSUMED, **own} for name, own in _OWN.items()}
"""For every preset but the ideal one: number → "cited: …" or "assumed: …"."""
