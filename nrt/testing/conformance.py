"""DeviceConformance: what every device owes those who hold a Session, as tests to be inherited.

```python
from nrt.testing import DeviceConformance

class TestMyChip(DeviceConformance):
    uri = "mychip+serial:///dev/ttyUSB0"
```

Subclasses say what their device cannot do by class attributes, never by leaving tests out. Equality is asked of a
network and a stimulus on which chips that work step by step and chips that work event by event agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from operator import length_hint
from typing import ClassVar

import numpy as np
import pytest

import nrt
from nrt.device import Device
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, join
from nrt.registry import device as registered
from nrt.session import Session
from nrt.testing.stimulus import DT, Script, small, spaced

Spike = tuple[int, int, int]
"""(packet, neuron, sum of payloads) of one output population."""


class DeviceConformance:
    """Tests of one device. Set `uri`, or override `device` where a URI is not enough.

    reference: the device that has the right answer
    delay:     steps by which this device's spikes come later than the reference's, by design
    exact:     whether it computes `network()` exactly; False for a chip with analogue neurons
    repeats:   whether the same packets from reset give the same spikes
    answers:   False for a device that computes nothing
    patience:  seconds after which a test gives up
    """

    uri: ClassVar[str] = ""
    reference: ClassVar[str] = "reference:"
    delay: ClassVar[int] = 0
    exact: ClassVar[bool] = True
    repeats: ClassVar[bool] = True
    answers: ClassVar[bool] = True
    patience: ClassVar[float] = 60.0
    steps: ClassVar[int] = 60

    def device(self) -> Device:
        """The device under test, not yet open; called several times in some tests."""
        if not self.uri:
            pytest.skip("no device was named")
        return registered(self.uri)

    def network(self) -> Network:
        """A network that the device can run. It must have inputs in one row of pixels, and one output."""
        return small()

    def stimulus(self) -> list[Packet]:
        """A packet per step, with at most one event in each."""
        return spaced(self.steps)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """An open session with `network` deployed."""
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            await session.deploy(self.network())
            yield session

    async def play(self, session: Session, packets: Sequence[Packet]) -> list[Packet]:
        """The output packets of one run."""
        async with session.stream(Script(packets)) as run:
            return [packet async for packet in run]

    async def test_deploying_says_where_every_population_went(self) -> None:
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            placement = await session.deploy(self.network())
        text = str(placement)
        for population in self.network().populations:
            assert population.name in text
        assert len(placement.rows) >= len([p for p in self.network().populations if p.neuron])

    async def test_every_input_packet_is_answered_up_to_its_end(self) -> None:
        async with self.session() as session:
            packets = self.stimulus()
            outputs = await self.play(session, packets)
            assert [p.origin for p in outputs] == ["output"] * len(packets)
            assert [p.end for p in outputs] == [p.end for p in packets]
            assert all(a.end == b.start for a, b in itertools.pairwise(outputs))

    async def test_spikes_lie_in_their_packets_span_in_order_and_in_range(self) -> None:
        async with self.session() as session:
            size = session.network["output"].size
            for packet in await self.play(session, self.stimulus()):
                times = packet.data["t"]
                assert packet.data.dtype == SPIKE
                assert bool(np.all(times >= packet.start))
                assert bool(np.all(times < packet.end))
                assert bool(np.all(times[1:] >= times[:-1]))
                assert bool(np.all(packet.data["n"] < size))

    async def test_spikes_are_those_of_the_reference(self) -> None:
        if not self.exact or not self.answers:
            pytest.skip("this device does not claim to compute the network exactly")
        async with asyncio.timeout(self.patience), nrt.open(self.reference) as session:
            await session.deploy(self.network())
            expected = _spikes(await self.play(session, self.stimulus()))
        assert len(expected) >= 10, "the stimulus must make the reference fire"
        async with self.session() as session:
            found = _spikes(await self.play(session, self.stimulus()))
        last = self.steps - self.delay
        assert found == [(k + self.delay, n, v) for k, n, v in expected if k < last]

    async def test_the_same_packets_give_the_same_spikes_again(self) -> None:
        if not self.repeats:
            pytest.skip("this device has noise of its own")
        async with self.session() as session:
            first = _spikes(await self.play(session, self.stimulus()))
            second = _spikes(await self.play(session, self.stimulus()))
        assert first == second

    async def test_time_passes_without_events(self) -> None:
        async with self.session() as session:
            outputs = await self.play(session, _empty(20))
            assert [p.end for p in outputs] == [(k + 1) * DT for k in range(20)]
            assert sum(map(len, outputs)) == 0
            assert session.device.counters().events == 0

    async def test_a_stream_of_no_packets_ends(self) -> None:
        async with self.session() as session:
            assert await self.play(session, []) == []

    async def test_several_steps_in_a_packet_are_the_same_as_one_by_one(self) -> None:
        if not self.repeats:
            pytest.skip("this device has noise of its own")
        packets = self.stimulus()
        joined = [_joined(packets[k : k + 5]) for k in range(0, len(packets), 5)]
        async with self.session() as session:
            single = _spikes(await self.play(session, packets))
            several = await self.play(session, joined)
        assert [p.end for p in several] == [p.end for p in joined]
        sums: dict[tuple[int, int], int] = {}
        for k, n, v in single:
            sums[k // 5, n] = sums.get((k // 5, n), 0) + v
        assert _spikes(several) == [(k, n, v) for (k, n), v in sorted(sums.items())]

    async def test_events_and_spikes_are_counted(self) -> None:
        async with self.session() as session, session.stream(Script(self.stimulus())) as run:
            delivered = sum([int(np.abs(packet.data["v"]).sum()) async for packet in run])
        counters = run.report.counters
        assert counters.events == run.report.events == sum(map(len, self.stimulus()))
        if self.answers:
            assert counters.spikes["output"] == delivered > 0

    async def test_events_outside_the_input_are_counted_and_harm_nothing(self) -> None:
        if not self.answers:
            pytest.skip("this device looks at no event")
        packets = self.stimulus()
        late = int(packets[0].end) - 1
        stray = np.zeros(3, EVENT)
        stray["t"], stray["x"], stray["y"] = late, [4_000, 0, 9], [0, 4_000, 9]
        more = np.concatenate([np.asarray(packets[0].data), stray]).astype(EVENT)
        first = Packet(more, packets[0].start, packets[0].end, packets[0].stamp)
        async with self.session() as session:
            clean = _spikes(await self.play(session, packets))
            async with session.stream(Script([first, *packets[1:]])) as run:
                found = _spikes([packet async for packet in run])
        assert run.report.counters.outside == 3
        if self.repeats:
            assert found == clean

    async def test_leaving_a_run_early_leaves_the_device_ready(self) -> None:
        async with self.session() as session:
            complete = _spikes(await self.play(session, self.stimulus()))
            async with session.stream(Script(self.stimulus())) as run:
                async for packet in run:
                    assert packet.end == DT
                    break
            again = _spikes(await self.play(session, self.stimulus()))
        if self.repeats:
            assert again == complete

    async def test_a_user_who_gives_up_waiting_leaves_the_device_ready(self) -> None:
        async with self.session() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), session.stream(_Endless()) as run:
                    async for _ in run:
                        pass
            assert len(await self.play(session, self.stimulus())) == self.steps

    async def test_a_source_that_fails_is_reported_after_its_last_spikes(self) -> None:
        async with self.session() as session:
            packets = self.stimulus()[:10]
            outputs: list[Packet] = []
            run = session.stream(Script(packets, nrt.StreamError("camera on fire")))
            with pytest.raises(nrt.StreamError, match="camera on fire"):
                async with run:
                    async for packet in run:
                        outputs.append(packet)
            assert [p.end for p in outputs] == [p.end for p in packets]
            assert "camera on fire" in run.report.error

    async def test_a_second_network_replaces_the_first(self) -> None:
        async with self.session() as session:
            first = _spikes(await self.play(session, self.stimulus()))
            await session.deploy(small(hidden=5, outputs=3, name="second"))
            await self.play(session, self.stimulus())
            await session.deploy(self.network())
            again = _spikes(await self.play(session, self.stimulus()))
        if self.repeats:
            assert again == first

    async def test_it_opens_again_after_it_was_closed_twice(self) -> None:
        device = self.device()
        for _ in range(2):
            async with asyncio.timeout(self.patience), nrt.open(device) as session:
                await session.deploy(self.network())
                assert len(await self.play(session, self.stimulus())) == self.steps
            await device.close()

    async def test_closing_in_the_middle_of_a_run_leaves_nothing_behind(self) -> None:
        before = _at_work()
        async with asyncio.timeout(self.patience):
            device = self.device()
            await device.open()
            await device.deploy(self.network())
            await device.reset()
            for packet in self.stimulus()[:2]:
                await device.send(packet)
            await device.close()
        assert _at_work() <= before

    async def test_sending_waits_while_nobody_takes_the_spikes(self) -> None:
        async with asyncio.timeout(self.patience):
            device = self.device()
            await device.open()
            try:
                await device.deploy(self.network())
                await device.reset()
                packets, before = iter(_empty(20_000)), 0
                sender = asyncio.create_task(_send_all(device, packets), name="sender")
                while (left := length_hint(packets)) != before:
                    before = left
                    await asyncio.wait([sender], timeout=0.5)
                assert not sender.done(), "20 000 packets went in, and nobody took one out"
                sender.cancel()
                await asyncio.wait([sender])
            finally:
                await device.close()

    async def test_a_network_must_be_deployed_before_anything_is_sent(self) -> None:
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            with pytest.raises(nrt.ConfigError, match="deploy"):
                session.stream(Script([]))

    async def test_taps_show_populations_inside(self) -> None:
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            try:
                await session.deploy(self.network(), taps=["hidden"])
            except nrt.Unsupported as error:
                pytest.skip(f"it shows nothing inside: {error}")
            outputs = await self.play(session, self.stimulus())
            for name in ("output", "hidden"):
                assert [p.end for p in outputs if p.origin == name] == [p.end for p in self.stimulus()]

    async def test_a_tap_on_nothing_names_what_there_is(self) -> None:
        if not self.answers:
            pytest.skip("this device looks at no population")
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            with pytest.raises(nrt.ConfigError, match=r"nowhere.*hidden"):
                await session.deploy(self.network(), taps=["nowhere"])

    async def test_a_network_beyond_its_limits_is_refused_and_a_smaller_one_still_fits(self) -> None:
        async with asyncio.timeout(self.patience), nrt.open(self.device()) as session:
            if not session.device.limits:
                pytest.skip("nothing bounds a network here")
            with pytest.raises(nrt.DoesNotFit) as caught:
                await session.deploy(self.beyond())
            for violation in caught.value.violations:
                assert violation.need != violation.have
                assert violation.hint
            await session.deploy(self.network())
            assert len(await self.play(session, self.stimulus())) == self.steps

    def beyond(self) -> Network:
        """A network that no device with limits can hold."""
        return small(inputs=8, hidden=400_000, outputs=2)

    async def test_the_way_from_float_begins_at_the_network_and_ends_at_the_device(self) -> None:
        network, device = self.network(), self.device()
        rungs = device.rungs(network)
        assert rungs[0].network.hash == network.hash
        assert (
            rungs[-1].on.partition(":")[0].partition("+")[0] == device.uri.partition(":")[0].partition("+")[0]
        )
        assert len({rung.name for rung in rungs}) == len(rungs)
        shapes = [(p.name, p.shape) for p in network.populations]
        for rung in rungs:
            assert [(p.name, p.shape) for p in rung.network.populations] == shapes
            assert rung.what

    async def test_energy_says_how_it_was_had(self) -> None:
        async with self.session() as session:
            await self.play(session, self.stimulus())
            energy = await session.device.energy()
        for figure in energy:
            assert figure.joules >= 0
            assert figure.source
            assert figure.boundary

    async def test_runs_side_by_side_are_refused_or_right(self) -> None:
        async with self.session() as session:
            sources = [Script(self.stimulus()) for _ in range(3)]
            try:
                reports = await session.run_all(sources, jobs=2)
            except nrt.Unsupported:
                reports = await session.run_all(sources)
        assert [report.error for report in reports] == ["", "", ""]
        if self.repeats:
            assert len({str(report.counts) for report in reports}) == 1


class _Endless(Script):
    """Packets without end, as fast as they are taken."""

    finite = False

    def __init__(self) -> None:
        super().__init__([])

    async def packets(self) -> AsyncIterator[Packet]:
        k = 0
        while True:
            yield Packet(np.zeros(0, EVENT), k * DT, (k + 1) * DT, 0)
            k += 1
            await asyncio.sleep(0)


def _at_work() -> set[object]:
    """Threads and tasks, but for those of the loop's own pool."""
    threads = {each for each in threading.enumerate() if not each.name.startswith("asyncio_")}
    return {*threads, *asyncio.all_tasks()}


async def _send_all(device: Device, packets: Iterator[Packet]) -> None:
    for packet in packets:
        await device.send(packet)


def _empty(count: int) -> list[Packet]:
    return [Packet(np.zeros(0, EVENT), k * DT, (k + 1) * DT, 0) for k in range(count)]


def _joined(packets: Sequence[Packet]) -> Packet:
    data = join([p.data for p in packets])
    return Packet(data, packets[0].start, packets[-1].end, packets[-1].stamp)


def _spikes(packets: Sequence[Packet]) -> list[Spike]:
    """Per output packet and neuron the sum of payloads, in order."""
    found: dict[tuple[int, int], int] = {}
    for k, packet in enumerate(p for p in packets if p.origin == "output"):
        for n, v in packet.data[["n", "v"]].tolist():
            found[k, n] = found.get((k, n), 0) + v
    return [(k, n, v) for (k, n), v in sorted(found.items())]
