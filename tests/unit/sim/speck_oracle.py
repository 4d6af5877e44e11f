"""The Speck chip once more, slowly: dictionaries, lists and a definition of convolution by its windows.

Written from the same published rules as the emulator and sharing no code with it; whole picoseconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.configuration import CnnLayerConfig, SpeckConfiguration

Event = tuple[int, int, int, int]
"""Time, x, y, feature."""


@dataclass
class Core:
    """One core. queues: per sender, in order of arrival."""

    config: CnnLayerConfig
    synop: int
    states: dict[tuple[int, int, int], int] = field(default_factory=dict)
    queues: dict[object, list[Event]] = field(default_factory=lambda: defaultdict(list))
    free: int = 0
    opened: int = 0
    tick: int | None = None
    fired: int = 0
    dropped: int = 0
    outside: int = 0

    def neurons(self) -> list[tuple[int, int, int]]:
        """(y, x, feature) of every neuron, in order of address."""
        size = self.config.dimensions["output_shape"]["size"]
        features = self.config.dimensions["output_shape"]["feature_count"]
        return [(y, x, f) for y in range(size["y"]) for x in range(size["x"]) for f in range(features)]

    def weight(self, event: Event, neuron: tuple[int, int, int]) -> int | None:
        """The synapse from an input to a neuron, or None where the kernel does not reach."""
        d = self.config.dimensions
        _, x, y, feature = event
        ky = y + d["padding"]["y"] - neuron[0] * d["stride"]["y"]
        kx = x + d["padding"]["x"] - neuron[1] * d["stride"]["x"]
        if not (0 <= ky < d["kernel_size"] and 0 <= kx < d["kernel_size"]):
            return None
        return int(self.config.weights[neuron[2]][feature][kx][ky])

    def update(self, neuron: tuple[int, int, int], by: int) -> bool:
        """Adds to a membrane; whether the neuron fires."""
        state = min(max(self.states.get(neuron, 0) + by, self.config.threshold_low), 32767)
        fires = state >= self.config.threshold_high
        if fires:
            state = 0 if self.config.return_to_zero else state - self.config.threshold_high
        self.states[neuron] = state
        return fires


class Oracle:
    """A chip with cores and destinations; spikes of monitored cores are collected."""

    def __init__(self, config: SpeckConfiguration, fifo: int, period: int = 0) -> None:
        self.fifo = fifo
        self.period = period
        self.spikes: list[tuple[int, int, int, int, int]] = []
        self.cores: dict[int, Core] = {}
        for k, core in enumerate(config.cnn_layers):
            if core.weights:
                parallel = figures.PARALLEL if k in figures.PARALLEL_CORES else 1
                self.cores[k] = Core(core, figures.SYNOP_PS // parallel)
                if core.leak_enable and period:
                    self.cores[k].tick = period

    def run(self, inputs: list[tuple[int, int, int, int, int]], end: int) -> None:
        """Plays (time, core, x, y, feature) until `end`, or until the last input is taken if that is later."""
        waiting, taken_at, host_opened = list(inputs), 0, 0
        while True:
            choices: list[tuple[int, int, object]] = []
            if waiting and not self._full("host", waiting[0][1]):
                choices.append((max(waiting[0][0], taken_at, host_opened), -1, None))
            for k, core in self.cores.items():
                if any(
                    d.enable and self._full((k, n), d.layer) for n, d in enumerate(core.config.destinations)
                ):
                    continue
                heads = [(q[0][0], n, s) for n, (s, q) in enumerate(self._in_order(core)) if q]
                if heads or core.tick is not None:
                    at, _, sender = min(heads, key=lambda h: h[:2]) if heads else (1 << 70, 0, None)
                    if core.tick is not None and core.tick <= at:
                        at, sender = core.tick, None
                    choices.append((max(at, core.free, core.opened), k, sender))
            if not choices:
                return
            begin, k, sender = min(choices, key=lambda choice: choice[:2])
            if not waiting and begin >= max(end, taken_at):
                return
            if k < 0:
                _, target, x, y, f = waiting.pop(0)
                taken_at = begin
                self._push("host", target, (begin, x, y, f))
            elif sender is None:
                self._tick(k, begin)
            else:
                if len(self.cores[k].queues[sender]) == self.fifo:
                    if sender == "host":
                        host_opened = begin
                    else:
                        self.cores[sender[0]].opened = begin  # type: ignore[index]
                self._convolve(k, begin, self.cores[k].queues[sender].pop(0))

    def _in_order(self, core: Core) -> list[tuple[object, list[Event]]]:
        """A core's queues, those of cores first, in order of core and destination; the host's last."""
        return sorted(core.queues.items(), key=lambda item: (item[0] == "host", str(item[0])))

    def _full(self, sender: object, target: int) -> bool:
        core = self.cores[target]
        return len(core.queues[sender]) >= self.fifo and not core.config.input_congestion_balancer_enable

    def _push(self, sender: object, target: int, event: Event) -> None:
        core = self.cores[target]
        if core.config.input_congestion_balancer_enable and len(core.queues[sender]) >= self.fifo:
            core.dropped += 1
        else:
            core.queues[sender].append(event)

    def _convolve(self, k: int, begin: int, event: Event) -> None:
        core = self.cores[k]
        shape = core.config.dimensions["input_shape"]
        if (
            event[1] >= shape["size"]["x"]
            or event[2] >= shape["size"]["y"]
            or event[3] >= shape["feature_count"]
        ):
            core.outside += 1
            return
        done = 0
        for neuron in core.neurons():
            weight = core.weight(event, neuron)
            if weight is not None:
                if core.update(neuron, weight):
                    self._fire(k, begin + figures.CORE_LATENCY_PS + done * core.synop, neuron)
                done += 1
        core.free = begin + done * core.synop

    def _tick(self, k: int, begin: int) -> None:
        core = self.cores[k]
        for done, neuron in enumerate(core.neurons()):
            if core.update(neuron, core.config.biases[neuron[2]]):
                self._fire(k, begin + figures.CORE_LATENCY_PS + done * core.synop, neuron)
        core.free = begin + len(core.neurons()) * core.synop
        assert core.tick is not None
        core.tick += self.period

    def _fire(self, k: int, when: int, neuron: tuple[int, int, int]) -> None:
        core, (y, x, f) = self.cores[k], neuron
        core.fired += 1
        every = figures.DECIMATIONS[core.config.output_decimator_interval]
        if core.config.output_decimator_enable and core.fired % every:
            return
        if core.config.monitor_enable:
            self.spikes.append((when, k, x, y, f))
        for n, d in enumerate(core.config.destinations):
            if d.enable:
                self._push((k, n), d.layer, (when, x // d.pooling, y // d.pooling, f + d.feature_shift))
