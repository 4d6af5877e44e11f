"""Compares simulators and emulated chips on fifty handwritten digits, and writes the page that says how they differ.

python examples/compare_digits.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from nrt import dataset
from nrt.compare import compare
from nrt_sim.models import digits

DEVICES = ("reference:", "cpu:", "speck+emu:?leak=linear", "loihi2+sim:")

found = asyncio.run(compare(digits(), dataset.load("digits").first(50).samples, DEVICES))
print(found)
Path("compare_digits.html").write_text(found.to_html(), encoding="utf-8")
