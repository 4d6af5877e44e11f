"""The shim that runs kernels on the CPU finds what is wrong with one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt_sim.gpu.cuda_layer import arguments
from nrt_sim.gpu.kernels import CELLS, ITEMS, Kernel, kernel, structures, text
from nrt_sim.gpu.shim import KernelFault, Shim, kernel_text, sizes
from tests.unit.gpu.kernel_shim import built, changed, needs_compiler

pytestmark = [needs_compiler, pytest.mark.timeout(600)]
ORDERS = range(6)
Floats = NDArray[np.float32]


def test_structures_are_as_large_in_c_as_in_numpy() -> None:
    assert all(compiled == read for compiled, read in sizes(built()).values())
    assert structures("advance.cu")["Advance"].fields is not None


def test_constants_are_those_of_the_text() -> None:
    assert f"const int ITEMS = {ITEMS};" in text("advance.cu")
    assert f"const int CELLS = {CELLS};" in text("patch.cu")


def _address(array: NDArray[np.generic]) -> int:
    return array.ctypes.data


def _compacted(shim: Shim, plane: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Ids and values of what is not zero in a plane, by the kernel; twice, for the second must not see the first."""
    launched = kernel("compact")
    tiles = -(-len(plane) // (launched.threads * ITEMS))
    ids, values = np.full(len(plane), -1, np.int32), np.zeros(len(plane), np.float32)
    counts, words = np.zeros(1, np.int32), np.zeros(tiles + 1, np.int64)
    chunk = np.zeros(1, structures("compact.cu")["Chunk"])
    made = arguments(
        "compact",
        plane=_address(plane),
        list={
            "ids": _address(ids), "values": _address(values), "counts": _address(counts),
            "capacity": len(plane), "slots": 1,
        },
        scan={"status": _address(words), "tickets": _address(words[tiles:]), "tiles": tiles},
        chunk=_address(chunk), size=len(plane), batch=1, ids=len(plane),
    )  # fmt: skip
    for _ in range(2):
        shim.launch(launched, (0,), made, (tiles, 1))
    return ids[: counts[0]], values[: counts[0]]


def _plane(size: int = 20_000) -> Floats:
    random = np.random.default_rng(2)
    return np.where(random.random(size) < 0.1, random.normal(size=size), 0).astype(np.float32)


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_not_zero_is_listed_in_order_whatever_order_blocks_and_threads_run_in(order: int) -> None:
    plane = _plane()
    ids, values = _compacted(built().in_order(order), plane)
    np.testing.assert_array_equal(ids, np.flatnonzero(plane))
    np.testing.assert_array_equal(values, plane[plane != 0])


BARRIERS = {
    "before the sums of the other warps are read": "if (lane == 31) sums[warp] = upto;\n    __syncthreads();",
    "before a tile's ticket is read": "scan.tickets, (u64)1);\n    __syncthreads();",
    "before what the tiles before have is read": "answer = sum;\n        }\n    }\n    __syncthreads();",
}


@pytest.mark.parametrize("barrier", BARRIERS)
def test_a_barrier_that_is_missing_is_noticed_in_some_order(barrier: str) -> None:
    with_barrier = BARRIERS[barrier]
    mine = (Kernel("compact", "compact.cu", "Compact", 256, ((0,),)),)
    whole = kernel_text(mine)
    assert whole.count(with_barrier) == 1
    broken = changed(mine, whole.replace(with_barrier, with_barrier.replace("__syncthreads();", "")))
    plane = _plane()
    expected = np.flatnonzero(plane)
    seen = []
    for order in ORDERS:
        try:
            seen.append(np.array_equal(_compacted(broken.in_order(order), plane)[0], expected))
        except KernelFault:
            seen.append(False)
    assert not all(seen)


def _faulty(body: str) -> Shim:
    mine = (Kernel("compact", "compact.cu", "Compact", 64, ((0,),)),)
    source = f"""#include "shim.h"
    struct Compact {{ int n; }};
    template <int N> __global__ void compact(Compact c) {{ {body} }}"""
    return changed(mine, source)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("if (threadIdx.x < 40) __syncthreads();", "a barrier was not reached by all threads"),
        (
            "if (threadIdx.x != 3) __shfl_sync(~0u, 1, 0);",
            "a warp's collective was not reached by all its lanes",
        ),
        ("while (*(volatile int *)&c.n == 0) __nanosleep(20);", "it waits for a block that has not begun"),
    ],
)
def test_what_cuda_leaves_undefined_is_refused(body: str, fault: str) -> None:
    shim = _faulty(body)
    launched = Kernel("compact", "compact.cu", "Compact", 64, ((0,),))
    argument = np.zeros(1, np.int32).view(np.dtype([("n", "<i4")]))
    for _ in range(2):  # a failure leaves nothing behind that the next launch would trip over
        with pytest.raises(KernelFault, match=fault):
            shim.launch(launched, (0,), argument, (2, 1))
