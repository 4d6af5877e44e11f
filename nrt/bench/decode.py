"""How fast recordings are decoded, beside other projects' readers of the same file in the same run.

Each case is a recording of many millions of events (`decode_cases.py`). nrt reads through `Recording.read` into one
reused slab of EVENT; every peer runs in a process of its own (`decode_peers.py`) under the interpreter that
`peers` names. Runs alternate, so that drift of the machine meets all alike; the figures are medians.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

import nrt.formats.table as formats_
from nrt.bench.decode_cases import CASES, SLAB, Case
from nrt.errors import NotFound, NrtError
from nrt.packet import EVENT, Records
from nrt.report import host

LIMIT_S: Final = 300
"""A peer that takes longer than this in all is ended."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one reader did. mev_s: median, millions of events per second; None with the reason in `note`."""

    name: str
    version: str
    mev_s: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One case. ratio: nrt's speed over that of the fastest peer; None without peers."""

    case: str
    events: int
    bytes_per_event: float
    nrt_mev_s: float
    peers: list[Speed] = field(default_factory=list[Speed])

    @property
    def best(self) -> Speed | None:
        """The fastest peer."""
        return max((p for p in self.peers if p.mev_s is not None), key=lambda p: p.mev_s or 0, default=None)

    @property
    def ratio(self) -> float | None:
        best = self.best
        return self.nrt_mev_s / best.mev_s if best and best.mev_s else None

    def to_json(self) -> str:
        """The row with best and ratio, on one line."""
        best = self.best
        return json.dumps({**asdict(self), "best_peer": best.name if best else None, "ratio": self.ratio})


class _Peer:
    """A peer's reader in its own process, asked for one run at a time."""

    def __init__(self, python: str, library: str, mode: str, case: Case, path: Path, events: int) -> None:
        self.name = f"{library} {mode}"
        script = Path(__file__).with_name("decode_peers.py")
        self._process = subprocess.Popen(
            [python, str(script), library, mode, case.form, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._deadline = threading.Timer(LIMIT_S, self._process.kill)
        self._deadline.start()
        self._seconds: list[float] = []
        self._events = events
        self._greeting = self._answer()

    def _answer(self) -> dict[str, object]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # some readers print on their own account
                answer: dict[str, object] = json.loads(line)
                return answer
        return {"error": "the process ended or ran out of time"}

    def run(self) -> None:
        """One more timed run."""
        if "error" in self._greeting:
            return
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            self._greeting = answer
        else:
            self._seconds.append(float(str(answer["seconds"])))

    def speed(self) -> Speed:
        """The median of its runs."""
        if not self._seconds or "error" in self._greeting:
            return Speed(self.name, "", None, str(self._greeting.get("error", ""))[:200])
        found = int(str(self._greeting["events"]))
        note = "" if found == self._events else f"finds {found} events instead of {self._events}"
        rate = found / statistics.median(self._seconds) / 1e6
        return Speed(self.name, str(self._greeting["version"]), rate, note)

    def close(self) -> None:
        self._deadline.cancel()
        self._process.kill()
        self._process.communicate()


def _run_nrt(path: Path, slab: Records) -> tuple[int, float]:
    start, total = time.perf_counter(), 0
    with formats_.open(path) as recording:
        while count := recording.read(slab):
            total += count
    return total, time.perf_counter() - start


def measure(case: Case, peers: str | None, real: Path | None, events: int, repeat: int) -> Row:
    """Makes the recording of a case and times everybody on it. Raises NrtError where nrt cannot make or read it."""
    slab = np.zeros(SLAB, EVENT)
    with tempfile.TemporaryDirectory(prefix="nrt-bench-") as folder, ExitStack() as stack:
        path = Path(folder) / f"recording{case.suffix}"
        case.make(path, real, events)
        total, _ = _run_nrt(path, slab)
        others: list[_Peer] = []
        for library in case.peers if peers else ():
            for mode in ("chunk", "array"):
                others.append(_Peer(str(peers), library, mode, case, path, total))
                stack.callback(others[-1].close)
        seconds: list[float] = []
        for _ in range(repeat):
            seconds.append(_run_nrt(path, slab)[1])
            for other in others:
                other.run()
        rate = total / statistics.median(seconds) / 1e6
        name = case.name if real else f"{case.name} (invented)"
        return Row(name, total, path.stat().st_size / total, rate, [other.speed() for other in others])


def machine() -> str:
    """The processor and the versions that figures depend on."""
    here = host()
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "llvmlite")]
    return ", ".join([here["cpu"], here["system"], f"Python {here['python']}", *found])


def table(rows: Sequence[Row]) -> str:
    """The rows as text, one line each: nrt, the best peer, their ratio, and all peers behind."""
    lines = [f"{'format':24}{'B/event':>8}{'nrt Mev/s':>11}{'best peer':>30}{'ratio':>8}  all peers, Mev/s"]
    for row in rows:
        best, ratio = row.best, row.ratio
        peer = f"{best.name} {best.mev_s:.0f}" if best and best.mev_s else "-"
        every = ", ".join(
            f"{p.name} {p.mev_s:.0f}{'!' if p.note else ''}" if p.mev_s else f"{p.name} fails"
            for p in row.peers
        )
        lines.append(
            f"{row.case:24}{row.bytes_per_event:8.2f}{row.nrt_mev_s:11.0f}{peer:>30}"
            f"{f'{ratio:.2f}' if ratio else '-':>8}  {every}"
        )
    return "\n".join(lines)


def real_recordings() -> Path | None:
    """The folder of real recordings beside a checkout, if it is there."""
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "events"
    return folder if folder.is_dir() else None


def main(
    peers: str | None = None, formats: Sequence[str] = (), events: int = 20_000_000, repeat: int = 5
) -> list[Row]:
    """Measures the cases whose name starts with one of `formats` (all without any); prints as it goes.

    peers: path of a Python that has the other projects' readers installed; None measures nrt alone.
    Raises NotFound for a format that no case has.
    """
    chosen = [c for c in CASES if not formats or any(c.name.lower().startswith(f.lower()) for f in formats)]
    if not chosen:
        names = [case.name for case in CASES]
        raise NotFound(", ".join(formats), f"no such case; there is {', '.join(names)}", names)
    print(machine())
    rows: list[Row] = []
    for case in chosen:
        try:
            rows.append(measure(case, peers, real_recordings(), events, repeat))
        except (NrtError, ImportError, AttributeError) as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        print(table(rows[-1:]).split("\n", 1)[1] if len(rows) > 1 else table(rows), flush=True)
    return rows
