"""Models of energy: what was counted times a table of `firmware_specs`, the table's constants printed beside it.

Three kinds of table, told apart by their rows:

* of arithmetic and memories (`digital45`): two figures side by side, one of arithmetic only, as papers on spiking
  networks reckon, and one with memory traffic, which is mostly far larger and where spiking networks win less often
  (Dampfhoffer et al., IEEE TETCI 7(3) 2023; Yan et al., arXiv 2409.08290). Both are of 45 nm, not of this machine.
* of a chip's operations (`loihi2`): its synaptic operations only, and with neuron updates and spikes. A chip's
  published synaptic operation has its memory in it.
* of a chip at rest (`speck2f`): its resting power times the time of the stream, which is the least it takes.

Weights and states are taken to lie in the smallest memory of the table that holds them all, and a word to cost its
share of an access (32 of 64 bits, a half), since the weights of one spike lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nrt.network import Network
from nrt.profile.counters import Counters
from nrt.profile.energy import Energy, readable_joules
from nrt.profile.work import WORD_BYTES, Work, work
from nrt.spec import EnergyRow, Spec, load

GENERIC: Final = "digital45"
_MEMORIES: Final = ("sram_8k", "sram_32k", "sram_1m", "dram")
_REST: Final = "resting"


@dataclass(frozen=True, slots=True)
class _Costs:
    """The energy rows of a table, by operation."""

    spec: Spec
    rows: Mapping[str, EnergyRow]

    @classmethod
    def of(cls, table: str) -> _Costs:
        spec = load(table)
        return cls(spec, {row.operation: row for row in spec.energy})

    def joules(self, operation: str) -> float:
        return self.rows[operation].joules or 0.0

    def constant(self, operation: str) -> str:
        """One row as people read it: figure, source, and what is to be known of it."""
        row = self.rows[operation]
        about = f"; {row.description}" if row.description else ""
        return f"{operation} {readable_joules(row.joules or 0.0)} [{row.source}{about}]"


def modelled(
    network: Network,
    counters: Counters,
    tables: Sequence[str] = (GENERIC,),
    *,
    seconds: float = 0.0,
    dense: bool = False,
) -> tuple[Energy, ...]:
    """Figures of a run by each of `tables`, names of definitions; nothing where nothing was counted.

    seconds: of the stream, for tables of power
    dense: whether a table of arithmetic is reckoned as of dense computing (`nrt.profile.work`)
    Raises NotFound for a table that there is not.
    """
    found: list[Energy] = []
    for table in tables:
        costs = _Costs.of(table)
        if "fp32_add" in costs.rows:
            found += _digital(network, counters, costs, dense)
        if "synaptic_operation" in costs.rows:
            found += _chip(network, counters, costs)
        if _REST in costs.rows and seconds > 0:
            found.append(_rest(costs, seconds))
    return tuple(found)


def _digital(network: Network, counters: Counters, costs: _Costs, dense: bool) -> list[Energy]:
    done = work(network, counters, dense=dense)
    if not done.adds:
        return []
    arithmetic = done.adds * costs.joules("fp32_add") + done.multiplies * costs.joules("fp32_multiply")
    stored = _memory(costs, network.parameters)
    kept = _memory(costs, sum(p.size for p in network.populations))
    share = 8 * WORD_BYTES / costs.spec.limit("access_bits")
    moved = share * (
        done.weights * costs.joules(f"{stored}_read")
        + (done.states + done.messages) * costs.joules(f"{kept}_read")
    )
    source = f"{costs.spec.title}, Horowitz 2014; not this machine"
    about = ", computed densely" if dense else ""
    used = [costs.constant("fp32_add"), *([costs.constant("fp32_multiply")] if done.multiplies else [])]
    reads = [costs.constant(f"{name}_read") for name in dict.fromkeys((stored, kept))]
    return [
        Energy(
            arithmetic,
            "modelled",
            source,
            f"arithmetic only{about}",
            notes=(
                f"{_counted(done)}: {done.adds:,} additions, {done.multiplies:,} multiplications{_known(done)}",
                f"constants: {', '.join(used)}",
            ),
        ),
        Energy(
            arithmetic + moved,
            "modelled",
            source,
            f"arithmetic and memory traffic{about}",
            notes=(
                f"words of 32 bits: {done.weights:,} of weights in {stored}, {done.states:,} of states and "
                f"{done.messages:,} of events in {kept}",
                f"constants besides, of 64 bits: {', '.join(reads)}",
            ),
        ),
    ]


def _memory(costs: _Costs, words: int) -> str:
    """The smallest memory that holds so many words."""
    sizes = [(name, costs.spec.limit(name)) for name in _MEMORIES[:-1]]
    return next((name for name, size in sizes if words * WORD_BYTES <= size), _MEMORIES[-1])


def _chip(network: Network, counters: Counters, costs: _Costs) -> list[Energy]:
    done = work(network, counters)
    if not done.synops and not done.updates:
        return []
    source = f"published figures of {costs.spec.title}; this network was not measured on it"
    joules = done.synops * costs.joules("synaptic_operation")
    first = Energy(
        joules,
        "modelled",
        source,
        "synaptic operations only",
        notes=(
            f"{done.synops:,} synaptic operations{_known(done)}",
            f"constants: {costs.constant('synaptic_operation')}",
        ),
    )
    counts = {"neuron_update": done.updates, "spike": done.spikes}
    more = {name: count for name, count in counts.items() if name in costs.rows}
    if not more:
        return [first]
    joules += sum(count * costs.joules(name) for name, count in more.items())
    notes = (_counted(done), f"constants besides: {', '.join(costs.constant(name) for name in more)}")
    return [
        first,
        Energy(joules, "modelled", source, "synaptic operations, neuron updates and spikes", notes=notes),
    ]


def _rest(costs: _Costs, seconds: float) -> Energy:
    row = costs.rows[_REST]
    return Energy(
        (row.watts or 0.0) * seconds,
        "modelled",
        f"published resting power of {costs.spec.title} times the stream's time",
        "chip at rest, the least it takes",
        seconds=seconds,
        notes=(
            f"constants: {row.operation} {(row.watts or 0.0) * 1e3:.3g} mW [{row.source}; {row.description}]",
        ),
    )


def _counted(done: Work) -> str:
    return f"{done.synops:,} synaptic operations, {done.updates:,} neuron updates, {done.spikes:,} events and spikes"


def _known(done: Work) -> str:
    if not done.missing:
        return ""
    return f"; the device does not count {', '.join(done.missing)}, which are left out"
