"""Loading: the chip's memories and registers through a bridge, by the procedures of the chip's definition.

`procedures.deploy` says what is written in which order, and why; nothing of that order is here. What is programmed
is read back where the procedure says `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import Bridge, Service, Stream
from nrt.errors import ConfigError, DeviceError
from nrt_drivers.tinyodin.chip import CHIP, DURATIONS, FIFO, MARGIN, NEURON_ADDRESS, SYNAPSE_ADDRESS

Bytes = NDArray[np.uint8]
Addresses = NDArray[np.uint32]
Contents = Mapping[str, tuple[Addresses, Addresses, Bytes]]
"""By memory: where each byte is written, where it is read, and the byte."""

SETTLE_US: Final = 20_000
"""How long a bridge waits for a chip whose spikes keep each other going; the steps after it come late then."""

_REGISTER: Final = CHIP.word("spi_config_write")
_DATA: Final = CHIP.word("spi_data")


def neuron_bytes(words: NDArray[np.integer]) -> tuple[Addresses, Addresses, Bytes]:
    """The words of the first neurons: those above SPI_MAX_NEUR are never looked at."""
    contents = words.astype("<u4").view(np.uint8)
    neuron, byte = np.divmod(np.arange(len(contents)), 4)
    where = [NEURON_ADDRESS.pack(read=r, write=not r, byte=byte, neuron=neuron) for r in (0, 1)]
    return where[0].astype(np.uint32), where[1].astype(np.uint32), contents


def synapse_bytes(pairs: NDArray[np.integer], first: int = 0) -> tuple[Addresses, Addresses, Bytes]:
    """Rows of the synapse memory from source address `first` on: pairs is u8[sources, 128]."""
    pre, pair = np.divmod(np.arange(pairs.size), pairs.shape[1])
    where = [SYNAPSE_ADDRESS.pack(read=r, write=not r, pre=first + pre, pair=pair) for r in (0, 1)]
    return where[0].astype(np.uint32), where[1].astype(np.uint32), pairs.astype(np.uint8).ravel()


async def follow(bridge: Bridge, procedure: str, parameters: Mapping[str, int], memories: Contents) -> None:
    """Carries out a procedure of the chip's definition. Raises DeviceError where a byte reads back wrong."""
    for step in CHIP.procedure(procedure):
        match step.do:
            case "write":
                value = parameters[step.parameter] if step.value is None else step.value
                await write_register(bridge, step.target, value)
            case "program":
                where, _, contents = memories[step.target]
                await bridge.write(where, contents, int(_DATA.pack_one(byte=0)))
            case "verify":
                await _verify(bridge, step.target, *memories[step.target][1:])
            case _:
                raise ConfigError(f"{procedure}: this driver knows no step '{step.do}'")


async def write_register(bridge: Bridge, name: str, value: int) -> None:
    """Writes one of the configuration registers, which cannot be read back."""
    register = CHIP.register(name)
    address = np.array([_REGISTER.pack_one(address=register.address)], np.uint32)
    await bridge.transfer(address, np.array([register.word.pack_one(value=value)], np.uint32))


async def read_neurons(bridge: Bridge) -> NDArray[np.uint32]:
    """The neuron words as they are now: stops the network for as long as that takes, and leaves it stopped."""
    await write_register(bridge, "SPI_GATE_ACTIVITY", 1)
    _, where, _ = neuron_bytes(np.zeros(CHIP.memory("neurons").words, np.uint32))
    contents = await bridge.read(where)
    return contents.view("<u4").astype(np.uint32)


async def _verify(bridge: Bridge, memory: str, where: Addresses, contents: Bytes) -> None:
    back = await bridge.read(where)
    wrong = np.flatnonzero(back != contents)
    if len(wrong):
        at = int(wrong[0])
        text = f"wrote {contents[at]:#04x} to SPI address {int(where[at]):#07x} and read {back[at]:#04x}"
        count = f"{len(wrong)} of {len(back)} bytes of the memory '{memory}' read back wrong"
        raise DeviceError(bridge.name, f"{count} ({text}); is SCK at most a quarter of the chip's clock?")


def stream(clock: int, last: int, *, loop: bool) -> Stream:
    """How a bridge is to hand events to the chip: each when the one before is done, by the definition's cycles."""
    services: list[Service] = []
    for word in CHIP.kinds("aer_in").words:
        duration = CHIP.duration(DURATIONS[word.name])
        cycles = duration.total(**dict.fromkeys(duration.per, last + 1)) + MARGIN
        services.append(Service(word.match_mask, word.match_bits, _ns(cycles, clock)))
    spike = CHIP.duration("spike").total(neuron=last + 1) + MARGIN
    return Stream(tuple(services), loop, _ns(spike, clock), FIFO, SETTLE_US)


def _ns(cycles: float, clock: int) -> int:
    return int(-(-cycles * 1_000_000_000 // max(clock, 1)))
