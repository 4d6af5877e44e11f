"""Device: what the author of a driver or simulator writes. Packets in, packets out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from nrt.errors import ConfigError, Unsupported
from nrt.network import Network
from nrt.packet import Packet
from nrt.profile import ClockMap
from nrt.profile import Counters as Counters
from nrt.profile import Energy as Energy


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of a Placement: what it is, where it went, what it costs."""

    layer: str
    what: str
    where: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """What went where on a device, and what fitting it there cost. Prints itself."""

    device: str
    network: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        cells = [(r.layer, r.what, r.where, r.note) for r in self.rows]
        widths = [max((len(c[k]) for c in cells), default=0) for k in range(4)]
        lines = [f"{self.network} on {self.device}"]
        lines += ["  " + "  ".join(c[k].ljust(widths[k]) for k in range(4)).rstrip() for c in cells]
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


@dataclass(frozen=True, slots=True, eq=False)
class Rung:
    """One step of the way from a network in float to a device (`Device.rungs`): what runs there, and on what.

    name:    float, folding, leak, weights, state, delays, order, link or device: what is new against the rung before
    network: what is deployed
    on:      the URI of what runs it; `cpu:` for a step that is a Network → Network function
    what:    the same as `name`, in a sentence
    bounds:  least and greatest membrane that the device holds, in units of this rung's network; None: unknown
    hints:   what to try if this rung costs much, by layer; "" for the whole network
    capacity: synaptic operations per second that each layer's core is taken to do; empty where nothing is known
    """

    name: str
    network: Network
    on: str
    what: str
    bounds: tuple[float, float] | None = None
    hints: Mapping[str, str] = field(default_factory=dict[str, str])
    capacity: Mapping[str, float] = field(default_factory=dict[str, float])


def watched(network: Network, taps: Sequence[str], membranes: Sequence[str]) -> tuple[str, ...]:
    """The origins of a deployment's output packets: outputs, taps, and "name.v" for each of `membranes`.

    Raises ConfigError for a population that there is not.
    """
    known = [p.name for p in network.populations]
    for name in (*taps, *membranes):
        if name not in known:
            raise ConfigError(f"no population '{name}' to watch; there is {', '.join(known)}")
    return tuple(dict.fromkeys((*network.outputs, *taps, *(f"{name}.v" for name in membranes))))


class Device(ABC):
    """Something that runs a network. Users hold a Session instead; authors fill in these methods.

    Life: open → deploy → (reset → send… → finish, while somebody iterates `spikes`)… → close.
    `send` waits while the device is full: that is the backpressure. Output packets are watermarks too:
    for every input packet the device yields one packet per watched population, empty or not, in order; `finish`
    may add one more, for the step that it completes.
    """

    uri: str = ""
    clocked: ClassVar[bool] = True
    """Whether it advances in steps of dt; False for a chip that works event by event."""
    timed_by: str = "host"
    """Whose clock the moments `begun` and `done` of its packets were read from."""
    wires: ClassVar[tuple[str, ...]] = ()
    """The wires of `nrt.wire` that it speaks over, by the name in a URI (`serial`); their options are its own too."""
    exclusive: ClassVar[bool] = False
    """Whether there is one of it that two processes should not use at once (`nrt.lease`), though it has no wire."""

    tables: ClassVar[tuple[str, ...]] = ("digital45",)
    """Definitions whose energy rows price what it counts; by default those of no device (`nrt.profile.model`)."""
    dense: ClassVar[bool] = False
    """Whether it computes every synapse in every step, spikes or not."""

    @classmethod
    def availability(cls) -> str:
        """What there is of it on this machine, in one sentence: "ready", which ones, or why none can be used."""
        return "ready"

    async def open(self) -> None:
        """Acquires the hardware. Raises DeviceError, MissingDependency."""

    async def close(self) -> None:
        """Releases it, in whatever state; may be called twice."""

    @property
    def limits(self) -> Mapping[str, float]:
        """What bounds a network here, by name; empty where nothing does."""
        return {}

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        """What `deploy` would say, without the hardware: it need not be open. Raises DeployError."""
        raise Unsupported(self.uri, "where a network goes is known only once it is deployed")

    def rungs(self, network: Network) -> Sequence[Rung]:
        """The way from `network` in float to this device, in the order in which its lowering takes it.

        The first rung is the network itself, the last this device. Networks of `cpu:` rungs from the second on have
        the same populations and projections, in the same units. It need not be open. Raises DeployError.
        """
        return (
            Rung("float", network, "cpu:", "the network as it is, in float"),
            Rung("device", network, self.uri, "the device itself; it names no steps between"),
        )

    @abstractmethod
    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        """Puts `network` on the device, in its reset state. Raises DeployError.

        taps: populations whose spikes are yielded too, besides the outputs
        membranes: populations whose membranes are yielded after every step, as MEMBRANE packets with the
        origin "name.v". Raises Unsupported where the device cannot show them.
        """

    @abstractmethod
    async def reset(self) -> None:
        """Back to the state right after `deploy`: membranes, delays, counters and time. Ends a run under way."""

    @abstractmethod
    async def send(self, packet: Packet) -> None:
        """Takes one packet (EVENT or SPIKE records); returns when there is room for it, not when it is done."""

    @abstractmethod
    async def finish(self) -> None:
        """No more packets: completes the last step and lets `spikes` end."""

    @abstractmethod
    def spikes(self) -> AsyncIterator[Packet]:
        """The output packets of this run, until `finish` took effect. Raises what the device died of."""

    async def fork(self) -> Device:
        """Another device with the same deployed network and a state of its own, for runs side by side.

        Raises Unsupported where there is only one of it, as with a chip.
        """
        raise Unsupported(self.uri, "this device runs one recording at a time")

    async def side_by_side(self, count: int) -> Sequence[Device]:
        """`count` devices with the same deployed network that compute their runs together, for throughput.

        Raises Unsupported where nothing is gained by it; `fork` then gives independent ones.
        """
        raise Unsupported(self.uri, "this device does not compute recordings together; run them as jobs")

    async def energy(self) -> tuple[Energy, ...]:
        """Energy since the last reset, as the device itself knows it: a figure per meter or table, or none at all."""
        return ()

    @property
    def clock(self) -> ClockMap | None:
        """The device's clock against the host's, as far as it was followed; None where it has none of its own."""
        return None

    @property
    def floor(self) -> Mapping[str, int]:
        """µs that the device adds to every packet's latency by design, by name, such as how often it is asked."""
        return {}

    def counters(self) -> Counters:
        """What was counted since the last reset."""
        return Counters()
