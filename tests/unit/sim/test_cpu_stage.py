"""Cutting a projection into stages, and laying out the planes that they add to."""

from __future__ import annotations

import numpy as np

from nrt.network import Conv, Dense, Pool, Scale
from nrt_sim.cpu.plane import Plane
from nrt_sim.cpu.scatter import SHAPES, shape_for
from nrt_sim.cpu.stage import Pairs, Patch, Rows, cut

KERNEL = np.arange(2 * 3 * 3 * 3, dtype=np.float64).reshape(2, 3, 3, 3)


def test_pools_and_scales_around_a_kernel_are_folded_into_one_stage() -> None:
    average = Pool((2, 2), (2, 2), kind="average")
    stages = cut((Scale(np.asarray(2.0)), average, Conv(KERNEL), Scale(np.asarray(8.0))), (3, 12, 12))
    assert [type(stage) for stage in stages] == [Patch]
    weight = stages[0].weight
    assert weight.shape == (1, 3, 3, 1, 6)
    assert weight[0, 1, 0, 0, :2].tolist() == (KERNEL[:, 1, 2, 2] * 2 / 4 * 8).tolist()


def test_two_kernels_in_a_row_are_two_stages() -> None:
    stages = cut((Conv(KERNEL), Conv(np.ones((4, 2, 1, 1)))), (3, 8, 8))
    assert [stage.outputs for stage in stages] == [(2, 6, 6), (4, 6, 6)]


def test_a_stride_gives_a_patch_for_each_phase() -> None:
    (stage,) = cut((Conv(KERNEL, stride=(2, 2)),), (3, 9, 9))
    assert isinstance(stage, Patch)
    assert stage.weight.shape[:4] == (4, 3, 2, 1)
    odd = stage.weight[3, 0].reshape(2, 2, 2)
    assert np.count_nonzero(np.any(odd != 0, axis=2)) == 1


def test_a_pixel_that_no_window_covers_reaches_nothing() -> None:
    (stage,) = cut((Pool((2, 2), (2, 2)), Dense(np.ones((5, 4)))), (1, 5, 5))
    assert isinstance(stage, Rows)
    assert (stage.phase[4] == -1).all()
    assert stage.phase[:4, :4].ravel().tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]


def test_no_operators_pair_every_neuron_with_its_twin() -> None:
    (stage,) = cut((), (2, 3, 4))
    assert isinstance(stage, Pairs)
    assert stage.target.ravel().tolist() == list(range(24))


def test_a_patch_at_the_corner_of_a_plane_stays_inside_its_margins() -> None:
    plane = Plane((2, 4, 5), top=1, bottom=1, left=1, right=2)
    corner = int(plane.place(np.array(-1), np.array(-1)))
    end = int(plane.place(np.array(4), np.array(6))) + 1
    assert corner >= 0
    assert end < plane.floats
    assert len(set(plane.places().tolist())) == plane.neurons


def test_margins_of_a_plane_are_no_neurons() -> None:
    plane = Plane((3, 2, 2), top=1, bottom=0, left=1, right=1)
    assert np.count_nonzero(plane.neuron_at() >= 0) == 12
    assert sum(int(lanes).bit_count() for lanes in plane.valid()) == 12


def test_every_patch_finds_a_kernel_that_wastes_at_most_an_eighth() -> None:
    for vectors in range(1, 200):
        kernel, used = shape_for(1, 1, vectors)
        height, width = SHAPES[kernel]
        assert height == 1
        assert used % width == 0
        assert vectors <= used <= max(vectors * 9 // 8, vectors)
