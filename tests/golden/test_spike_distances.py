"""Distances between spike trains, by elephant and by nrt.

`NRT_NEUROBENCH` names a Python interpreter that has elephant too; the tests skip without it. The unit tests hold the
same kernels to the definitions, without a peer.
"""

from __future__ import annotations

import json
import math
import os
import subprocess

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.compare import kernels

pytestmark = pytest.mark.timeout(300)

Q, TAU_MS = 50.0, 12.0
Trains = list[NDArray[np.int64]]

PEER = """
import json, sys, warnings
warnings.simplefilter("ignore")
import neo, quantities as pq
from elephant.spike_train_dissimilarity import van_rossum_distance, victor_purpura_distance
q, tau, pairs = json.load(sys.stdin)
out = []
for pair in pairs:
    trains = [neo.SpikeTrain([t * 1e-3 for t in one] * pq.ms, t_stop=2000 * pq.ms) for one in pair]
    vp = victor_purpura_distance(trains, cost_factor=q / pq.s)[0, 1]
    vr = van_rossum_distance(trains, time_constant=tau * pq.ms)[0, 1]
    out.append((float(vp), float(vr)))
print(json.dumps(out))
"""


def pairs() -> list[Trains]:
    """Pairs of trains in µs, of very different rates; one is empty."""
    random = np.random.default_rng(3)

    def train(count: int) -> NDArray[np.int64]:
        return np.sort(random.choice(2_000_000, count, replace=False)).astype(np.int64)

    return [[train(a), train(b)] for a, b in ((1, 1), (5, 9), (60, 40), (300, 310), (0, 7), (100, 3))]


def test_distances_equal_elephants() -> None:
    python = os.environ.get("NRT_NEUROBENCH")
    if python is None:
        pytest.skip("NRT_NEUROBENCH names no Python that has elephant")
    drawn = pairs()
    asked = json.dumps((Q, TAU_MS, [[train.tolist() for train in pair] for pair in drawn]))
    done = subprocess.run(
        [python, "-c", PEER], input=asked, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for (first, second), (theirs_vp, theirs_vr) in zip(drawn, json.loads(done.stdout), strict=True):
        zeros, others = np.zeros(len(first), np.int64), np.zeros(len(second), np.int64)
        ours = kernels.victor_purpura(zeros, first, others, second, Q)
        assert ours == pytest.approx(theirs_vp, rel=1e-9)
        squared = kernels.van_rossum(zeros, first, zeros + 1, others, second, others + 1, TAU_MS * 1_000)
        assert math.sqrt(squared) == pytest.approx(theirs_vr, rel=1e-9)
