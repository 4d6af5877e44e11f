"""The arithmetic of tinyODIN's time-multiplexed crossbar, compiled: one pass of the controller per event.

All 256 neurons share one update circuit. A spike event walks it over the neurons 0 … MAX_NEUR with the row of
4-bit weights of its source; a time reference event leaks one neuron or all of them; a virtual event gives one
neuron a weight that is in no synapse. The scheduler is a FIFO of 128 words `{weight, address}`, where a weight
of 0 marks a spike. Its head stays in the FIFO while it is worked on, so that it takes one of the 128 places.

Facts: doc/README.md and the RTL (controller.v, lif_neuron.v, scheduler.v, fifo.v) of ChFrenkel/tinyODIN at
1865653. What only the RTL tells:

* A virtual event of weight 0 is taken for a spike of neuron 0 … 15.
* A neuron fires where its new state is not negative and at least the threshold as an unsigned number; so a
  threshold of 2048 or more is never reached, and one of 0 at every event that leaves the state at 0 or above.
* Leak, too, is followed by that test. A disabled neuron is reset like any other; only its spike is masked.
* Every byte written to the neuron memory passes the test with the word as it was, and its spike enters the
  scheduler unless the loop is open. Spikes that find the scheduler full are gone.
* With the source of output events set to the controller, an output event is a popped spike, after its pass.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrt.jit import inline, jit

Int = int | np.int64

SPIKE: Final = 0
LEAK: Final = 1
LEAK_ALL: Final = 2
VIRTUAL: Final = 3
"""Kinds of input events; a virtual one of weight 0 is a SPIKE."""

# Places in the array of what must survive a call.
READ: Final = 0  # FIFO: index of its head
COUNT: Final = 1  # FIFO: words in it
OVERFLOWS: Final = 2  # spikes that found the scheduler full
NEXT: Final = 3  # input events taken so far in this call
OUT: Final = 4  # output events written so far in this call
LEFT: Final = 5  # cycles that the chip may still run before the next input
LAST: Final = 6  # the neuron that was accessed last …
BEFORE: Final = 7  # … and its state before: what the memory's output still shows
ROW: Final = 8  # the synapse row that was accessed last
PLACES: Final = 9


class Neurons(NamedTuple):
    """The fields of the neuron words, int32[256] each. low, high: the range of a state."""

    state: NDArray[np.int32]
    threshold: NDArray[np.int32]
    leak: NDArray[np.int32]
    enabled: NDArray[np.int32]
    low: int
    high: int


class Registers(NamedTuple):
    """The configuration registers that the crossbar obeys."""

    open_loop: bool
    from_controller: bool
    last: int


class Buffers(NamedTuple):
    """What a call works with: the scheduler, `s` by the places above, and room for output events.

    queue, queued: addresses and weights in the scheduler
    cause: for every output event the input that came last before it; marks: scratch, one per neuron
    """

    queue: NDArray[np.uint8]
    queued: NDArray[np.int8]
    s: NDArray[np.int64]
    out: NDArray[np.uint8]
    cause: NDArray[np.int64]
    marks: NDArray[np.int32]


@inline
def _push(b: Buffers, address: Int, weight: Int) -> None:
    if b.s[COUNT] == len(b.queue):
        b.s[OVERFLOWS] += 1
    else:
        at = (b.s[READ] + b.s[COUNT]) % len(b.queue)
        b.queue[at], b.queued[at] = address, weight
        b.s[COUNT] += 1


@inline
def _emit(b: Buffers, address: Int, cause: Int) -> None:
    b.out[b.s[OUT]] = address
    b.cause[b.s[OUT]] = cause
    b.s[OUT] += 1


@jit
def _spikes(first: Int, last: Int, cause: Int, r: Registers, b: Buffers) -> None:
    """Sends the spikes that an update of the neurons first … last left in `marks`."""
    for n in range(first, last + 1):
        if b.marks[n]:
            if not r.from_controller:
                _emit(b, n, cause)
            if not r.open_loop:
                _push(b, n, 0)


@inline
def _settle(cells: Neurons, n: Int, x: np.int32, b: Buffers) -> np.int32:
    """Stores the new state x of neuron n, or 0 if it fires; returns whether it sends a spike."""
    fired = np.int32(x >= 0 and x >= cells.threshold[n])
    cells.state[n] = x * (np.int32(1) - fired)
    sent: np.int32 = fired & cells.enabled[n]
    b.marks[n] = sent
    return sent


@inline
def _integrated(cells: Neurons, n: Int, weight: np.int32) -> np.int32:
    """The state after a synaptic event: signed, saturating."""
    x = np.int32(cells.state[n] + weight)
    return min(max(x, np.int32(cells.low)), np.int32(cells.high))


@inline
def _leaked(cells: Neurons, n: Int) -> np.int32:
    """The state after a time reference event: towards 0, not past it."""
    state, leak = cells.state[n], cells.leak[n]
    down = max(np.int32(state - leak), np.int32(0))
    up = min(np.int32(state + leak), np.int32(0))
    return up if state < 0 else down


@jit
def _pass(
    source: Int, cause: Int, cells: Neurons, weights: NDArray[np.int8], r: Registers, b: Buffers
) -> None:
    """A spike of `source` at every active neuron. weights: [source, target]"""
    row = weights[source]
    b.s[LAST], b.s[BEFORE], b.s[ROW] = r.last, cells.state[r.last], source
    sent = np.int32(0)
    for n in range(r.last + 1):
        sent += _settle(cells, n, _integrated(cells, n, np.int32(row[n])), b)
    if sent:
        _spikes(0, r.last, cause, r, b)


@jit
def _leak(first: Int, last: Int, cause: Int, cells: Neurons, r: Registers, b: Buffers) -> None:
    """A time reference event of the neurons first … last."""
    b.s[LAST], b.s[BEFORE] = last, cells.state[last]
    sent = np.int32(0)
    for n in range(first, last + 1):
        sent += _settle(cells, n, _leaked(cells, n), b)
    if sent:
        _spikes(first, last, cause, r, b)


@jit
def _virtual(n: Int, weight: Int, cause: Int, cells: Neurons, r: Registers, b: Buffers) -> None:
    b.s[LAST], b.s[BEFORE] = n, cells.state[n]
    if _settle(cells, n, _integrated(cells, n, np.int32(weight)), b):
        _spikes(n, n, cause, r, b)


@jit
def _pop(
    cause: Int, cells: Neurons, weights: NDArray[np.int8], r: Registers, costs: NDArray[np.int64], b: Buffers
) -> None:
    """Works on the scheduler's oldest word, then takes it out."""
    address, weight = np.int64(b.queue[b.s[READ]]), np.int64(b.queued[b.s[READ]])
    if weight:
        _virtual(address, weight, cause, cells, r, b)
        spent = costs[VIRTUAL]
    else:
        _pass(address, cause, cells, weights, r, b)
        spent = costs[SPIKE]
        if r.from_controller:
            _emit(b, address, cause)
    b.s[LEFT] -= spent
    b.s[READ] = (b.s[READ] + 1) % len(b.queue)
    b.s[COUNT] -= 1


@jit
def run(
    kinds: NDArray[np.uint8],
    addresses: NDArray[np.uint8],
    strengths: NDArray[np.int8],
    gap: int,
    cells: Neurons,
    weights: NDArray[np.int8],
    r: Registers,
    costs: NDArray[np.int64],
    b: Buffers,
) -> bool:
    """Takes the inputs from s[NEXT] on; after each the chip works for `gap` cycles, or until it is idle.

    strengths: the weights of virtual events, 0 for others; costs: cycles that a popped SPIKE and VIRTUAL take

    Returns False where the output has to be emptied first (call again with s[OUT] = 0), True when all is done.
    The controller takes an input before it pops, except while the scheduler is full.
    """
    s = b.s
    room = len(b.out) - len(b.marks) - 1  # what one event can send at most
    while True:
        while s[COUNT] > 0 and (s[LEFT] > 0 or s[COUNT] == len(b.queue)):
            if s[OUT] > room:
                return False
            _pop(s[NEXT] - 1, cells, weights, r, costs, b)
        if s[NEXT] == len(kinds):
            return True
        if s[OUT] > room:
            return False
        k = s[NEXT]
        kind, address = kinds[k], np.int64(addresses[k])
        if kind == LEAK_ALL:
            _leak(0, r.last, k, cells, r, b)
        elif kind == LEAK:
            _leak(address, address, k, cells, r, b)
        else:
            _push(b, address, np.int64(strengths[k]))
        s[NEXT] = k + 1
        s[LEFT] = gap


@jit
def write_bytes(
    memory: NDArray[np.uint8], at: NDArray[np.int64], keep: NDArray[np.int64], values: NDArray[np.int64]
) -> None:
    """Writes to the bytes of a memory, in order; where a bit of `keep` is 1 the old bit stays."""
    for k in range(len(at)):
        memory[at[k]] = (values[k] & ~keep[k]) | (np.int64(memory[at[k]]) & keep[k])


@jit
def push_spike(address: Int, b: Buffers) -> None:
    """A spike that enters the scheduler without a pass: that of a neuron being programmed."""
    _push(b, address, 0)
