"""Names of the columns of the tables that the kernels work on; plain integers, so that numba folds them in."""

from __future__ import annotations

from typing import Final

NEVER: Final = 1 << 62
"""A time that does not come, ps."""

# One row per core: what the configuration says. A row more, READOUT, stands for the readout block.
(
    ENABLED, IN_X, IN_Y, IN_F, OUT_X, OUT_Y, OUT_F, KERNEL, STRIDE_X, STRIDE_Y, PAD_X, PAD_Y,
    HIGH, LOW, TO_ZERO, LEAK, LEAK_INTERNAL, MONITOR, BALANCER, DECIMATE, SYNOP, LATENCY, WEIGHTS, NEURONS, BIASES,
    N_CORE,
) = range(26)  # fmt: skip
READOUT: Final = 9
HOST: Final = 10
"""The server that hands the host's events to the chip; the DVS layer is part of it."""

# One row per server (cores, readout, host): its state and what it counted.
(
    FREE, TICK, STILL, DECIMATED, UNBLOCKED,
    EVENTS, SYNOPS, SPIKES, THINNED, DROPPED, OUTSIDE, TICKS, LATEST,
    N_STATE,
) = range(14)  # fmt: skip
"""FREE: when it can take the next event; UNBLOCKED: when room was last made for what it sends; TICK: its next tick
of the slow clock; STILL: its ticks change nothing until an event; DECIMATED: spikes since the decimator let one pass.
THINNED: by the decimator; DROPPED: by the congestion balancer; OUTSIDE: at no neuron's input; LATEST: worst wait
of the host's events for the chip, ps."""

# One row per link, a queue from a sender to a core: its ring in the shared arrays, and how it maps addresses.
(SENDER, TARGET, OPEN, POOL_X, POOL_Y, SHIFT, RING, ROOM, HEAD, COUNT, N_LINK) = range(11)
N_LINKS: Final = 29
"""2 per core, 2 of the DVS layer (from 18), and one from the host to each core (from 20)."""
DVS_LINK: Final = 18
HOST_LINK: Final = 20

# The DVS layer.
(
    MERGE, ON, OFF, DVS_POOL_X, DVS_POOL_Y, ORIGIN_X, ORIGIN_Y, CUT_X, CUT_Y, MIRROR_X, MIRROR_Y, DIAGONAL,
    DVS_MONITOR, DVS_RAW, N_DVS,
) = range(15)  # fmt: skip

# The clock and what else there is one of.
(
    NOW, PERIOD, INTERNAL, PIXELS_SEEN, TAKEN, WAITING, FIFO, PIN_MONITOR,
    READ_SELECT, READ_WINDOW, READ_THRESHOLD, READ_OVERRIDE, READ_NEURON, READ_SLOT,
    CUT_AWAY, N_BOARD,
) = range(16)  # fmt: skip
"""NOW: time of the last event handed to the chip, ps; PERIOD: of the slow clock, 0 if off; INTERNAL: pixel events
per tick of the internal one; TAKEN: of the host's queue; WAITING: events in links; CUT_AWAY: by the DVS layer."""

# What goes in and out, one row per event: when (ps), what, and four numbers.
(WHEN, WHAT, LAYER, X, Y, F, N_EVENT) = range(7)
(SPIKE, PIXEL, READ, WRITE, KILL, REVIVE, NEURON, READ_VALUE, PIN) = range(9)
"""WHAT. READ, WRITE and NEURON: X is the address, Y the state; READ_VALUE: X the value; PIN: X the index."""
