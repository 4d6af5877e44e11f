"""The emulated chip: a configuration laid out in tables, and what the kernels do with them.

It knows no host, no board and no clock: events with times go in, events with times come out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt_sim.chips.speck import columns as c
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.configuration import (
    CnnLayerConfig,
    Destination,
    SpeckConfiguration,
    in_use,
    log2_up,
    problems,
)
from nrt_sim.chips.speck.kernels import I8, I16, I64
from nrt_sim.chips.speck.loop import DEADLOCK, FULL, I32, advance

OUT_ROWS: Final = 1 << 14


class Chip:
    """A Speck2f with one configuration and its state; `run` continues where the last call stopped.

    synop_ps: time per synaptic operation of a core; fifo: events that wait between two cores
    """

    def __init__(self, synop_ps: int = figures.SYNOP_PS, fifo: int = figures.FIFO) -> None:
        self._synop, self._fifo = synop_ps, fifo
        self._period = 0
        self._now = 0
        self._dead: I8 = np.zeros(figures.PIXELS * figures.PIXELS, np.int8)
        self.configure(SpeckConfiguration())

    @property
    def now(self) -> int:
        """When the last event was handed to the chip, ps."""
        return int(self._state[c.HOST, c.FREE])

    @property
    def state(self) -> I64:
        """Per server (cores 0..8, readout, host) what it counted: `columns.EVENTS` and the names after it."""
        return self._state

    @property
    def cut_away(self) -> int:
        """Pixel events outside the DVS layer's region."""
        return int(self._board[c.CUT_AWAY])

    def configure(self, config: SpeckConfiguration) -> None:
        """Loads `config`, with its initial states and empty queues. Raises ValueError with everything wrong."""
        wrong = problems(config)
        if wrong:
            raise ValueError("the chip cannot hold this configuration: " + "; ".join(wrong))
        self._core, self._weights, self._neurons, self._biases = _lay_out_cores(config, self._synop)
        self._words, self._reader, self._alias = _addresses(self._core, len(self._neurons))
        self._dvs = _lay_out_dvs(config)
        self._board = _lay_out_board(config, self._fifo)
        self._link, self._ring = _lay_out_links(config, self._core, self._fifo)
        self._into = _incoming(self._link)
        window = int(self._board[c.READ_WINDOW])
        self._counts: I64 = np.zeros((window + 2, figures.READOUT_CLASSES), np.int64)
        now = self.now if hasattr(self, "_state") else 0
        self._state: I64 = np.zeros((c.HOST + 1, c.N_STATE), np.int64)
        self._state[:, c.FREE] = self._state[:, c.UNBLOCKED] = now
        self._held: I64 = np.zeros((0, c.N_EVENT), np.int64)  # fired, and not yet out of the chip
        self._reserve = _rows_per_event(self._core)
        self._out: I64 = np.zeros((max(OUT_ROWS, 2 * self._reserve), c.N_EVENT), np.int64)
        self.slow_clock(self._period)

    def slow_clock(self, period_ps: int) -> None:
        """The period of the external slow clock; 0 stops it. The first tick is one period from now."""
        self._period = period_ps
        self._board[c.PERIOD] = period_ps
        external = self._core[: c.HOST, c.LEAK_INTERNAL] == 0
        self._state[: c.HOST, c.TICK] = c.NEVER
        if period_ps:
            self._state[: c.HOST, c.TICK][external] = self.now + period_ps

    def run(self, queue: I64, until: int = c.NEVER - 1, horizon: int = 0) -> tuple[I64, int, bool]:
        """Hands the events of `queue` over in order and runs until their last one, or until `horizon` if later.

        until: nothing that begins after this time happens now, ps
        Returns what left the chip by then, in order of time, how many events were taken, and whether all cores wait for
        each other (a recurrent network can do that), so that nothing ever happens again.
        """
        self._board[c.TAKEN] = 0
        parts: list[I64] = []
        while True:
            used, how = advance(
                until, horizon, queue, self._core, self._state, self._link, self._board, self._ring, self._into,
                self._out, self._reserve, self._weights, self._neurons, self._biases, self._dvs, self._dead,
                self._reader, self._alias, self._words, self._counts,
            )  # fmt: skip
            parts.append(self._out[:used].copy())
            if how != FULL:
                break
        out = np.concatenate((self._held, *parts))
        out = out[np.argsort(out[:, c.WHEN], kind="stable")]
        left = int(np.searchsorted(out[:, c.WHEN], max(horizon, self.now), side="right"))
        self._held = out[left:]
        return out[:left], int(self._board[c.TAKEN]), how == DEADLOCK

    def warm_up(self) -> None:
        """Compiles the kernels, or loads them from the cache, so that no first event waits for that."""
        self.run(np.zeros((0, c.N_EVENT), np.int64), until=-1)

    def membranes(self, core: int) -> I16:
        """A copy of the states of a core's neurons, int16 [feature, y, x]."""
        row = self._core[core]
        x, y, f = int(row[c.OUT_X]), int(row[c.OUT_Y]), int(row[c.OUT_F])
        begin = int(row[c.NEURONS])
        return self._neurons[begin : begin + x * y * f].reshape(y, x, f).transpose(2, 0, 1).copy()


def _lay_out_cores(config: SpeckConfiguration, synop_ps: int) -> tuple[I64, I8, I16, I16]:
    """The table of cores, and weights [in][ky][kx][out], states [y][x][out] and biases of all of them in a row."""
    table: I64 = np.zeros((c.HOST + 1, c.N_CORE), np.int64)
    weights: list[NDArray[Any]] = [np.zeros(0, np.int8)]
    neurons: list[NDArray[Any]] = [np.zeros(0, np.int16)]
    biases: list[NDArray[Any]] = [np.zeros(0, np.int16)]
    for k, core in enumerate(config.cnn_layers):
        if not in_use(core):
            continue
        row = table[k]
        row[c.WEIGHTS], row[c.NEURONS], row[c.BIASES] = (sum(map(len, a)) for a in (weights, neurons, biases))
        _core_row(row, core, synop_ps // (figures.PARALLEL if k in figures.PARALLEL_CORES else 1))
        x, y, f = int(row[c.OUT_X]), int(row[c.OUT_Y]), int(row[c.OUT_F])
        weights.append(np.asarray(core.weights, np.int8).transpose(1, 3, 2, 0).reshape(-1))
        initial = np.asarray(core.neurons_initial_value or np.zeros((f, x, y)), np.int16)
        neurons.append(initial.transpose(2, 1, 0).reshape(-1))
        biases.append(np.asarray(core.biases or np.zeros(f), np.int16))
    readout = config.readout
    table[c.READOUT, c.ENABLED] = table[c.READOUT, c.LEAK] = readout.enable
    table[c.READOUT, c.MONITOR] = readout.monitor_enable
    table[c.READOUT, c.LEAK_INTERNAL] = readout.internal_slow_clk
    return table, np.concatenate(weights), np.concatenate(neurons), np.concatenate(biases)


def _core_row(row: I64, core: CnnLayerConfig, synop_ps: int) -> None:
    d = core.dimensions
    inputs, outputs = d["input_shape"], d["output_shape"]
    values = {
        c.ENABLED: 1, c.IN_X: inputs["size"]["x"], c.IN_Y: inputs["size"]["y"], c.IN_F: inputs["feature_count"],
        c.OUT_X: outputs["size"]["x"], c.OUT_Y: outputs["size"]["y"], c.OUT_F: outputs["feature_count"],
        c.KERNEL: d["kernel_size"], c.STRIDE_X: d["stride"]["x"], c.STRIDE_Y: d["stride"]["y"],
        c.PAD_X: d["padding"]["x"], c.PAD_Y: d["padding"]["y"], c.HIGH: core.threshold_high,
        c.LOW: core.threshold_low, c.TO_ZERO: core.return_to_zero, c.LEAK: core.leak_enable,
        c.LEAK_INTERNAL: core.leak_internal_slow_clk_enable, c.MONITOR: core.monitor_enable,
        c.BALANCER: core.input_congestion_balancer_enable, c.SYNOP: synop_ps, c.LATENCY: figures.CORE_LATENCY_PS,
    }  # fmt: skip
    for column, value in values.items():
        row[column] = int(value)
    if core.output_decimator_enable:
        row[c.DECIMATE] = figures.DECIMATIONS[core.output_decimator_interval]


def _addresses(core: I64, neurons: int) -> tuple[I64, I32, I32]:
    """Neurons by address: where each core's addresses begin, the first neuron of each, and the next of the same.

    addr = y << (cb + yb) | x << cb | channel, with cb = ⌈log2 channels⌉ and yb = ⌈log2 height⌉, as sinabs computes
    it (`io.calculate_neuron_address`). On maps that are wider than high, several neurons share an address; what the
    chip does there is not known: here a write reaches all of them, a read the first.
    """
    words: I64 = np.cumsum((0, *figures.NEURON_WORDS), dtype=np.int64)
    reader: I32 = np.full(int(words[-1]), -1, np.int32)
    alias: I32 = np.full(max(1, neurons), -1, np.int32)
    for k in range(figures.CORES):
        x, y, f = (int(core[k, column]) for column in (c.OUT_X, c.OUT_Y, c.OUT_F))
        cb, yb = log2_up(f), log2_up(y)
        gy, gx, gf = np.meshgrid(np.arange(y), np.arange(x), np.arange(f), indexing="ij")
        address = (gy << (cb + yb) | gx << cb | gf).reshape(-1)
        inside = np.flatnonzero(address < figures.NEURON_WORDS[k])
        for n in inside[::-1] if x > 1 << yb else ():
            alias[core[k, c.NEURONS] + n] = reader[words[k] + address[n]]
            reader[words[k] + address[n]] = core[k, c.NEURONS] + n
        if x <= 1 << yb:
            reader[words[k] + address[inside]] = core[k, c.NEURONS] + inside
    return words, reader, alias


def _lay_out_dvs(config: SpeckConfiguration) -> I64:
    layer = config.dvs_layer
    row: I64 = np.zeros(c.N_DVS, np.int64)
    values = {
        c.MERGE: layer.merge, c.ON: layer.on_channel, c.OFF: layer.off_channel,
        c.DVS_POOL_X: log2_up(layer.pooling.x), c.DVS_POOL_Y: log2_up(layer.pooling.y),
        c.ORIGIN_X: layer.origin.x, c.ORIGIN_Y: layer.origin.y, c.CUT_X: layer.cut.x, c.CUT_Y: layer.cut.y,
        c.MIRROR_X: layer.mirror.x, c.MIRROR_Y: layer.mirror.y, c.DIAGONAL: layer.mirror_diagonal,
        c.DVS_MONITOR: layer.monitor_enable, c.DVS_RAW: layer.raw_monitor_enable,
    }  # fmt: skip
    for column, value in values.items():
        row[column] = int(value)
    return row


def _lay_out_board(config: SpeckConfiguration, fifo: int) -> I64:
    row: I64 = np.zeros(c.N_BOARD, np.int64)
    readout = config.readout
    window = 1 if readout.low_pass_filter_disable else 32 if readout.low_pass_filter32_not16 else 16
    internal = readout.internal_slow_clk or any(
        core.leak_internal_slow_clk_enable for core in config.cnn_layers
    )
    values = {
        c.INTERNAL: 1 << config.factory_config.internal_slow_clk_divider if internal else 0, c.FIFO: fifo,
        c.PIN_MONITOR: readout.readout_pin_monitor_enable, c.READ_SELECT: readout.output_mode_sel,
        c.READ_WINDOW: window, c.READ_THRESHOLD: readout.threshold,
        c.READ_OVERRIDE: readout.override_threshold_max, c.READ_NEURON: readout.output_neuron_num,
    }  # fmt: skip
    for column, value in values.items():
        row[column] = int(value)
    return row


def _lay_out_links(config: SpeckConfiguration, core: I64, fifo: int) -> tuple[I64, I64]:
    """The table of links, and the rings that hold their events."""
    link: I64 = np.zeros((c.N_LINKS, c.N_LINK), np.int64)
    link[:, c.TARGET] = c.HOST  # of a link that is not open: nobody looks there
    for k, layer in enumerate(config.cnn_layers):
        for d, destination in enumerate(layer.destinations if in_use(layer) else ()):
            _open(link[2 * k + d], k, destination, fifo + max(1, _spikes_per_event(core[k])))
    for d, destination in enumerate(config.dvs_layer.destinations):
        _open(link[c.DVS_LINK + d], c.HOST, destination, fifo + 1)
    for k in range(figures.CORES):
        if core[k, c.ENABLED]:
            _open(link[c.HOST_LINK + k], c.HOST, Destination(enable=True, layer=k), fifo + 1)
    link[:, c.RING] = np.cumsum(link[:, c.ROOM]) - link[:, c.ROOM]
    return link, np.zeros((int(link[:, c.ROOM].sum()) + 1, 2), np.int64)


def _open(row: I64, sender: int, destination: Destination, room: int) -> None:
    if not destination.enable:
        return
    row[c.SENDER], row[c.OPEN], row[c.ROOM] = sender, 1, room
    row[c.TARGET] = c.READOUT if destination.layer == figures.READOUT_LAYER else destination.layer
    row[c.POOL_X] = row[c.POOL_Y] = log2_up(destination.pooling)
    row[c.SHIFT] = destination.feature_shift


def _incoming(link: I64) -> I64:
    """Per target: how many links lead to it, and which."""
    into: I64 = np.zeros((c.HOST + 1, c.N_LINKS + 1), np.int64)
    for target in range(c.HOST):
        found = np.flatnonzero((link[:, c.TARGET] == target) & (link[:, c.OPEN] == 1))
        into[target, 0] = len(found)
        into[target, 1 : 1 + len(found)] = found
    return into


def _spikes_per_event(row: I64) -> int:
    """The most spikes that one event, or one tick, makes a core fire."""
    neurons = int(row[c.OUT_X] * row[c.OUT_Y] * row[c.OUT_F])
    if row[c.LEAK]:
        return neurons
    wide = -(-int(row[c.KERNEL]) // max(1, int(row[c.STRIDE_X])))
    high = -(-int(row[c.KERNEL]) // max(1, int(row[c.STRIDE_Y])))
    return min(neurons, wide * high * int(row[c.OUT_F]))


def _rows_per_event(core: I64) -> int:
    return max(4, *(_spikes_per_event(row) for row in core[: figures.CORES]))
