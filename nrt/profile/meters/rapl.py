"""`rapl:` the energy counters of Intel and AMD processors, through the kernel's powercap files.

Every zone is a folder `intel-rapl:0` with `name` (package-0, dram, psys, core, uncore), `energy_uj`, a counter of µJ,
and `max_energy_range_uj`, at which it begins anew at 0: after some minutes under load, so a thread looks often enough.
Counters are renewed about every ms. Since Linux 5.10 only root may read them (CVE-2020-8694).
Source: docs.kernel.org/power/powercap/powercap.html.

Packages, their DRAM and the platform (psys) are different things, partly inside each other, and never added up; core
and uncore are parts of a package and are read only when they are asked for: `rapl:core`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from nrt.errors import DeviceError, NotFound
from nrt.profile.meters.base import Channel
from nrt.profile.meters.polled import PolledMeter, Probe
from nrt.profile.meters.sysfs import SYS, number, text
from nrt.profile.meters.tally import CounterTally
from nrt.uri import Uri

_FIX: Final = "only root may since Linux 5.10: sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj"
_PARTS: Final = ("core", "uncore")
_RENEWED_S: Final = 0.001


class RaplMeter(PolledMeter):
    """`rapl:` every package, DRAM and platform zone there is; `rapl:package-0` one of them.

    sys: where sysfs is · seconds: a clock; both for tests
    """

    def __init__(self, uri: Uri, sys: Path = SYS, seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__(str(uri), 0.05, seconds)
        self._wanted, self._root = uri.place, sys / "class" / "powercap"

    @classmethod
    def availability(cls, sys: Path = SYS) -> str:
        """Which zones there are, or what stands in the way."""
        try:
            probes = cls(Uri("rapl"), sys)._find()
        except NotFound as error:
            return str(error)
        except DeviceError as error:
            return str(error).removeprefix(f"{error.uri}: ")
        return "ready: " + ", ".join(probe.channel.name for probe in probes)

    @property
    def instrument(self) -> str:
        """What it is."""
        return "RAPL energy counters of the processor"

    @property
    def rate_hz(self) -> float:
        """How often the processor renews its counters."""
        return 1 / _RENEWED_S

    @property
    def shortest_s(self) -> float:
        """A thousand renewals, so that one more or less matters little."""
        return 1.0

    def _find(self) -> Sequence[Probe]:
        zones = {path: text(path / "name") or path.name for path in self._zones()}
        chosen = {
            path: name
            for path, name in zones.items()
            if (self._wanted == name if self._wanted else name not in _PARTS)
        }
        if not chosen:
            known = sorted(set(zones.values()))
            none = (
                f"no RAPL counters in {self._root}; virtual machines and most ARM processors have none, others need "
                "the kernel module intel_rapl_msr"
            )
            there = f"no RAPL zone '{self._wanted}'; there is {', '.join(known)}"
            raise NotFound(self._wanted or "rapl", there if known else none, known)
        return [self._probe(path, name, zones) for path, name in chosen.items()]

    def _zones(self) -> list[Path]:
        """Without those of the mmio interface, which are the same packages a second time."""
        return [path.parent for path in sorted(self._root.glob("intel-rapl:*/energy_uj"))]

    def _probe(self, path: Path, name: str, zones: dict[Path, str]) -> Probe:
        counter = path / "energy_uj"
        number(self._name, counter, _FIX)  # says at once that it may not be read
        wraps_at = number(self._name, path / "max_energy_range_uj", _FIX) * 1e-6
        parent = zones.get(path.with_name(path.name.rpartition(":")[0]))
        full = f"{parent} {name}" if parent else name
        kind = "CPU package" if name.startswith("package") else "platform" if name == "psys" else name.upper()
        boundary = f"{kind} ({full})"

        def read() -> float:
            return number(self._name, counter, _FIX) * 1e-6

        return Probe(Channel(full, boundary), CounterTally(self._name, wraps_at or None), read)
