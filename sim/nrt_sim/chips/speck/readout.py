"""The readout block: spikes counted per class and tick of the slow clock, averaged, compared with a threshold.

A spike of channel 4(k - 1) counts for class k, 1 to 15; class 0 is idle (sinabs, faqs/chip_errata.md); spikes of
other channels count for none, which is an assumption. At every tick the counts of the last 1, 16 or 32 ticks are
averaged (rounded down: an assumption) and the class of the largest average, the lowest of several, is looked for.
`ReadoutValue` is 21 bits: valid, class, and 16 bits by mode (datasheet 3.2.5.5).
"""

from __future__ import annotations

from nrt.jit import bare
from nrt_sim.chips.speck.columns import (
    EVENTS,
    MONITOR,
    OUTSIDE,
    PIN,
    PIN_MONITOR,
    READ_NEURON,
    READ_OVERRIDE,
    READ_SELECT,
    READ_SLOT,
    READ_THRESHOLD,
    READ_VALUE,
    READ_WINDOW,
    READOUT,
    STILL,
    TICKS,
)
from nrt_sim.chips.speck.figures import READOUT_CLASSES, READOUT_LAYER
from nrt_sim.chips.speck.kernels import I64, put

SLOT = 1
"""counts[0]: sums over the window; counts[SLOT + k]: the counts of slot k of the ring of ticks."""


@bare
def count(state: I64, counts: I64, x: int, y: int, f: int) -> None:
    """A spike that arrives at the readout block."""
    state[READOUT, STILL] = 0
    klass = f // 4 + 1
    if x > 0 or y > 0 or f % 4 or klass >= READOUT_CLASSES:
        state[READOUT, OUTSIDE] += 1
        return
    state[READOUT, EVENTS] += 1
    counts[counts.shape[0] - 1, klass] += 1


@bare
def tick_readout(core: I64, state: I64, board: I64, out: I64, used: int, counts: I64, when: int) -> int:
    """One tick: the averages, and what is read out of them. Returns how many rows of `out` are used."""
    state[READOUT, TICKS] += 1
    window, fresh = board[READ_WINDOW], counts.shape[0] - 1
    slot = SLOT + board[READ_SLOT]
    board[READ_SLOT] = (board[READ_SLOT] + 1) % window
    for k in range(READOUT_CLASSES):
        counts[0, k] += counts[fresh, k] - counts[slot, k]
        counts[slot, k] = counts[fresh, k]
        counts[fresh, k] = 0
    winner, over = 0, 0
    for k in range(READOUT_CLASSES):
        average = counts[0, k] // window
        if average > counts[0, winner] // window:
            winner = k
        if average > board[READ_THRESHOLD]:
            over |= 1 << k
    valid = 1 if over or board[READ_OVERRIDE] else 0
    if core[READOUT, MONITOR]:
        data = 0
        if board[READ_SELECT] == 1:
            data = over
        elif board[READ_SELECT] == 2:
            data = counts[0, board[READ_NEURON]] // window
        elif board[READ_SELECT] == 3:
            data = counts[0, winner] // window
        value = valid << 20 | winner << 16 | min(data, 0xFFFF)
        used = put(out, used, when, READ_VALUE, READOUT_LAYER, value, 0, 0)
    if valid and board[PIN_MONITOR]:
        used = put(out, used, when, PIN, READOUT_LAYER, winner, 0, 0)
    quiet = not core[READOUT, MONITOR] and not board[READ_OVERRIDE]
    for k in range(READOUT_CLASSES):
        quiet = quiet and counts[0, k] == 0
    state[READOUT, STILL] = 1 if quiet else 0
    return used
