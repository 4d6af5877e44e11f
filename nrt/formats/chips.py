"""The sensors of iniVation's and jAER's cameras, by the names that AEDAT headers give them."""

from __future__ import annotations

import re
from typing import Final

_SIZES: Final = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
    "DVXPLORER_LITE": (320, 240),
    "DVXPLORERLITE": (320, 240),
    "DVXPLORER": (640, 480),
}
"""Name, or the beginning of it, -> (width, height). docs.inivation.com; libcaer, include/libcaer/devices."""

_OWN: Final = re.compile(r"NRT\.DAVIS-(\d{1,4})X(\d{1,4})")


def sensor_shape(name: str) -> tuple[int, int, int] | None:
    """(2, height, width) of a camera or jAER class, such as `eu.seebetter.ini.chips.davis.DAVIS240C`; or None."""
    own = _OWN.fullmatch(name.upper())
    if own:
        return 2, int(own[2]), int(own[1])
    name = name.upper().rpartition(".")[2]
    for known, (width, height) in _SIZES.items():
        if name.startswith(known):
            return 2, height, width
    return None
