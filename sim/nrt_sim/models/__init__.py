"""Networks that come with nrt, with what they are shown. Their cards, such as `digits.md`, lie beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HERE = Path(__file__).parent


def digits() -> Path:
    """The NIR file of a network that reads handwritten digits under saccades; see `digits.md`."""
    return _HERE / "digits.nir"


def held_out() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Digits that the network was not trained on: pictures uint8[n, 8, 8] of 0 (paper) to 16 (ink), labels uint8[n].

    From E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    doi:10.24432/C50P49, CC BY 4.0.
    """
    with np.load(_HERE / "held_out.npz") as file:
        return file["images"], file["labels"]
