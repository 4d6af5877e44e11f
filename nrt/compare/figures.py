"""What a comparison says of one device, of one population on two devices, and of the first difference between them.

Figures that were not had are None, never zero. Times are µs of the stream, from its start; a step is dt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nrt.device import Energy
from nrt.profile import Latency


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Answers that were right, with the 95 % interval of Wilson. A tie or no answer counts as wrong."""

    right: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Right answers of all, 0 to 1."""
        return self.right / self.of

    def __str__(self) -> str:
        return (
            f"{100 * self.share:.1f} % ({self.right} of {self.of}; 95 %: {100 * self.low:.1f} to "
            f"{100 * self.high:.1f})"
        )


@dataclass(frozen=True, slots=True)
class Paired:
    """Two devices on the same labelled recordings.

    only_first, only_second: recordings that only one of them answered right · both, neither
    same: recordings with the same answer, right or wrong · p: exact McNemar test, two-sided
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    same: int
    p: float


@dataclass(frozen=True, slots=True)
class Activity:
    """One population on one device, over all recordings.

    spikes:   payloads count as that many spikes; of a readout None
    rate_hz:  mean rate of one of its neurons
    silent:   neurons that never fired · saturated: neurons that fired in 95 % of all steps or more
    sparsity: share of (neuron, step) without a spike, the activation sparsity of NeuroBench
    """

    population: str
    neurons: int
    spikes: int | None
    rate_hz: float | None
    silent: int | None
    saturated: int | None
    sparsity: float | None


@dataclass(frozen=True, slots=True)
class Workload:
    """NeuroBench's complexity metrics (Yik et al., Nature Communications 16 (2025) 1545), see docs/compare.md.

    footprint:   bytes of weights and biases, each of `bytes_each` bytes
    connection_sparsity: share of weights that are zero, rounded to 4 decimals as NeuroBench does
    activation_sparsity: share of (neuron, step) without a spike; the input's are not counted
    dense:       operations per recording if every weight and every input were non-zero
    macs, acs:   operations per recording that were needed: with inputs that are not all -1, 0 or 1, and with those
                 that are
    rate_hz:     executions of the model per second of stream, one per time step
    seen:        whether every population was seen; else activation sparsity, macs and acs leave out what was not
    """

    footprint: int
    bytes_each: int
    connection_sparsity: float
    activation_sparsity: float | None
    dense: float
    macs: float | None
    acs: float | None
    rate_hz: float
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Concern:
    """A layer, or a part of the device, that deserves a look, and why."""

    kind: Literal["silent", "saturating", "overloaded", "lossy"]
    layer: str
    text: str


@dataclass(frozen=True, slots=True)
class Participant:
    """One device of a comparison, over all recordings that it ran.

    clocked:   whether it advances in steps of dt; False for a chip that works event by event
    placement: what its deployment printed · error: why it could not run, or ""
    watched:   populations whose spikes or membranes it shows · unwatched: the others, and why
    synops:    synaptic operations per projection, as the device counted them
    doubts:    what may have happened where nobody can see it, and how often
    outside:   input events outside the network's input, discarded
    energy:    one entry for each way it was had; never added up across them
    """

    uri: str
    clocked: bool
    placement: str = ""
    error: str = ""
    watched: tuple[str, ...] = ()
    unwatched: Mapping[str, str] = field(default_factory=dict[str, str])
    recordings: int = 0
    wall_s: float = 0.0
    activity: tuple[Activity, ...] = ()
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    energy: tuple[Energy, ...] = ()
    workload: Workload | None = None
    synops: Mapping[str, int] = field(default_factory=dict[str, int])
    doubts: Mapping[str, int] = field(default_factory=dict[str, int])
    outside: int = 0
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, slots=True)
class Delay:
    """By how much the second device's spikes come later than the first's; negative: earlier.

    steps:     the shift, in whole steps, at which most spikes match; a tie goes to the smaller shift
    us:        the same in µs: finer than a step where a device works event by event (the median of matched spikes)
    spread_us: distance between the quartiles of that, None where both are clocked
    constant:  whether every recording, taken alone, asks for the same shift (within a step where one is not clocked)
    """

    steps: int
    us: float
    spread_us: float | None
    constant: bool

    def __str__(self) -> str:
        spread = (
            "" if self.spread_us is None else f" ({self.us:.0f} µs, quartiles {self.spread_us:.0f} apart)"
        )
        unit = "step" if abs(self.steps) == 1 else "steps"
        return f"{self.steps:+d} {unit}{spread}{'' if self.constant else ', not constant'}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The spikes of one population on two devices, after the delay was taken out. Distances are over all recordings.

    matched:       spikes of the same neuron in the same step (within the tolerance) · only_first, only_second: the rest
    at_zero:       spikes that match without the shift
    victor_purpura: least cost of making one the other: 1 to add or take a spike, q per second to move it; summed over
                   neurons. J. D. Victor, K. P. Purpura, J. Neurophysiol. 76 (1996) 1310
    van_rossum:    distance of the trains filtered with exp(-t/τ), over all neurons together; one spike too many is 1.
                   M. C. W. van Rossum, Neural Comput. 13 (2001) 751, times √2
    cosine:        1 - cosine of the two vectors of spike counts, one entry per neuron and recording
    """

    population: str
    neurons: int
    delay: Delay
    matched: int
    only_first: int
    only_second: int
    at_zero: int
    victor_purpura: float | None
    van_rossum: float | None
    cosine: float | None

    @property
    def first(self) -> int:
        """Spikes of the first device."""
        return self.matched + self.only_first

    @property
    def second(self) -> int:
        """Spikes of the second device."""
        return self.matched + self.only_second

    @property
    def f1(self) -> float | None:
        """2 · matched / (spikes of both), 0 to 1; None where neither fired."""
        total = self.first + self.second
        return 2 * self.matched / total if total else None

    @property
    def jaccard(self) -> float | None:
        """matched / (matched + the rest), 0 to 1; None where neither fired."""
        union = self.matched + self.only_first + self.only_second
        return self.matched / union if union else None

    @property
    def exact(self) -> bool:
        """Whether every spike has its counterpart."""
        return not self.only_first and not self.only_second


@dataclass(frozen=True, slots=True)
class Readout:
    """The membranes of a population that does not fire, on two devices, after the delay was taken out.

    delay:       steps at which they differ least · rms, largest: of the difference, in units of the membrane
    scale:       root mean square of the first device's membrane, to compare with
    correlation: of the two, over all neurons and steps; None where one of them does not move
    """

    population: str
    neurons: int
    delay: int
    rms: float
    largest: float
    scale: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class InputSpike:
    """A spike that reached a neuron: from which, when on each device (µs, delay taken out), by which weight.

    first, second: how many on each device; None where that population is not seen there
    """

    source: str
    neuron: int
    t: int
    weight: float
    first: int | None
    second: int | None


@dataclass(frozen=True, slots=True)
class Membrane:
    """A neuron's membrane on one device at the end of each step. device: its place in the comparison; t: µs."""

    device: int
    threshold: float | None
    t: tuple[int, ...]
    v: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first spike that only one of two devices has; of several in one step, in the earliest layer.

    where:      the neuron's place in the population's shape, such as (channel, row, column)
    t, step:    on the first device's time, from the start of the recording
    first, second: spikes of the neuron in that step
    window:     (begin, end) in µs of what is shown before it · inputs: spikes that reached the neuron in it
    inputs_cut: input spikes left out because there were too many
    membranes:  of every device that can show them · notes: what cannot be shown, and why
    """

    recording: int
    population: str
    neuron: int
    where: tuple[int, ...]
    t: int
    step: int
    first: int
    second: int
    window: tuple[int, int]
    inputs: tuple[InputSpike, ...] = ()
    inputs_cut: int = 0
    bias: float = 0.0
    membranes: tuple[Membrane, ...] = ()
    notes: tuple[str, ...] = ()
