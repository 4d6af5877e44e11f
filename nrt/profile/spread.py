"""How a duration is spread over packets: the figures of a histogram of ns, in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nrt.profile.histogram import Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Figures in ms over `packets` values; nan where there are none.

    iqr:     the width of the middle half · jitter: p99 - p50
    buckets: (lowest ns, highest ns, packets) of each histogram bucket that is not empty
    """

    packets: int
    minimum: float
    mean: float
    p50: float
    p99: float
    p999: float
    maximum: float
    iqr: float
    jitter: float
    buckets: tuple[tuple[int, int, int], ...] = ()


def milliseconds(ms: float) -> str:
    """ms for people, without the unit: 0.042, 3.14, 437."""
    return f"{ms:.3g}" if ms < 1_000 else f"{ms:,.0f}"


def figures(histogram: Histogram) -> dict[str, Any]:
    """The fields of a Spread, so that what is more than one can be made of them."""
    p25, p50, p75, p99, p999 = (ns / 1e6 for ns in histogram.percentiles(25, 50, 75, 99, 99.9))
    return {
        "packets": histogram.total,
        "minimum": histogram.minimum / 1e6,
        "mean": histogram.mean / 1e6,
        "p50": p50,
        "p99": p99,
        "p999": p999,
        "maximum": histogram.maximum / 1e6,
        "iqr": p75 - p25,
        "jitter": p99 - p50,
        "buckets": tuple(histogram.buckets()),
    }
