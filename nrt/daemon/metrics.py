"""Metrics: the node's figures as Prometheus reads them.

Names and units follow Prometheus' conventions (base units, `_total` for counters). A label `pipeline` says of which;
`population` of which output; `kind` and `source` how an energy was had: measured, modelled or published figures are
never one series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from nrt.clock import now
from nrt.daemon.machine import descriptors, resident
from nrt.daemon.node import Node
from nrt.daemon.notice import State
from nrt.daemon.pipeline import Pipeline
from nrt.daemon.stats import BOUNDS_MS, Stats
from nrt.version import __version__

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_COUNTERS: Final = (
    ("packets", "packets", "Packets taken from the source"),
    ("events", "events", "Events taken from the source"),
    ("lost", "lost_events", "Events lost before the device"),
    ("dropped", "dropped_packets", "Packets that a recording or a receiver did not take in time"),
    ("decisions", "decisions", "Decisions made"),
    ("alarms", "alarms", "Alarms raised"),
    ("restarts", "restarts", "Times the pipeline was started again after a failure"),
    ("misses", "deadline_misses", "Output packets later than the deadline"),
)


def exposition(node: Node) -> bytes:
    """Everything as the text that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Families(list(_families(node))))
    return generate_latest(registry)


class _Families:
    """What prometheus-client asks for its families."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Once for each scrape."""
        yield from self._families


def _families(node: Node) -> Iterator[Metric]:
    info = GaugeMetricFamily("nrt_info", "Version and boot of the daemon", labels=["node", "version", "boot"])
    info.add_metric([node.name, __version__, node.boot], 1)
    yield info
    yield GaugeMetricFamily("nrt_uptime_seconds", "Since the daemon started", (now() - node.started) / 1e9)
    yield GaugeMetricFamily("nrt_resident_memory_bytes", "Memory that the daemon holds", resident())
    yield GaugeMetricFamily("nrt_open_descriptors", "Open file descriptors of the daemon", descriptors())
    yield CounterMetricFamily("nrt_node_alarms", "Alarms of the whole node", node.alarms)
    services = GaugeMetricFamily("nrt_service_count", "Counts of a service", labels=["service", "what"])
    for name, service in node.services.items():
        for what, count in service.counters().items():
            services.add_metric([name, what], count)
    yield services
    pipelines = [(each, each.stats()) for each in node.pipelines.values()]
    yield _states(pipelines)
    for field, name, help in _COUNTERS:
        family = CounterMetricFamily(f"nrt_{name}", help, labels=["pipeline"])
        for pipeline, stats in pipelines:
            family.add_metric([pipeline.name], getattr(stats, field))
        yield family
    yield from _gauges(pipelines)
    yield _latency(pipelines)
    yield _energy(pipelines)


def _states(pipelines: Sequence[tuple[Pipeline, Stats]]) -> Metric:
    family = GaugeMetricFamily("nrt_pipeline_state", "1 for the state it is in", labels=["pipeline", "state"])
    for pipeline, stats in pipelines:
        for state in State:
            family.add_metric([pipeline.name, state.value], stats.state is state)
    return family


def _gauges(pipelines: Sequence[tuple[Pipeline, Stats]]) -> Iterator[Metric]:
    spikes = CounterMetricFamily("nrt_spikes", "Spikes of an output", labels=["pipeline", "population"])
    queue = GaugeMetricFamily("nrt_queue_packets", "Packets that wait", labels=["pipeline", "queue"])
    factor = GaugeMetricFamily(
        "nrt_real_time_factor", "Seconds of stream per second, of the present run", labels=["pipeline"]
    )
    heat = GaugeMetricFamily("nrt_temperature_celsius", "Of the machine's hottest zone", labels=["pipeline"])
    alive = GaugeMetricFamily("nrt_pipeline_alive", "Whether it is supervised", labels=["pipeline"])
    for pipeline, stats in pipelines:
        name = pipeline.name
        for population, count in stats.spikes_of.items():
            spikes.add_metric([name, population], count)
        for where, count in stats.queues.items():
            queue.add_metric([name, where], count)
        if stats.real_time_factor is not None:
            factor.add_metric([name], stats.real_time_factor)
        if stats.temperature is not None:
            heat.add_metric([name], stats.temperature)
        alive.add_metric([name], pipeline.alive)
    yield from (spikes, queue, factor, heat, alive)


def _latency(pipelines: Sequence[tuple[Pipeline, Stats]]) -> Metric:
    family = HistogramMetricFamily(
        "nrt_latency_seconds",
        "From when events were due, or arrived, to the output that they made possible",
        labels=["pipeline"],
    )
    for pipeline, stats in pipelines:
        if not stats.latency_counts:
            continue
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip([*BOUNDS_MS, None], stats.latency_counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound is None else repr(bound / 1e3), below))
        family.add_metric([pipeline.name], buckets, stats.latency_sum_s)
    return family


def _energy(pipelines: Sequence[tuple[Pipeline, Stats]]) -> Metric:
    family = GaugeMetricFamily(
        "nrt_energy_joules",
        "Energy of the present run, by how it was had and of what",
        labels=["pipeline", "kind", "boundary", "source"],
    )
    for pipeline, stats in pipelines:
        for each in stats.energy:
            family.add_metric([pipeline.name, each.kind, each.boundary, each.source], each.joules)
    return family
