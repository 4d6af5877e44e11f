"""`nrt` with faults that only the inside of the process can have; `python -m tests.campaigns.faulty serve …`.

The folder that CAMPAIGN names holds what the campaign wants: `stall` (the device gives nothing back), `die` (it is
lost), `clock` (seconds that the wall clock is off). Every promised notice is written to `journal` after all who listen
have had it: an id in there was promised, whatever happened to the process a moment later.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from nrt import cli, registry
from nrt.daemon.node import Node
from nrt.daemon.notice import Notice, StateChange
from nrt.errors import DeviceLost
from nrt.packet import Packet
from nrt_sim.cpu.device import CpuDevice

FOLDER = Path(os.environ["CAMPAIGN"])


class FaultyDevice(CpuDevice):
    """`faulty:`: the cpu: device, with what the campaign does to it."""

    async def spikes(self) -> AsyncIterator[Packet]:
        """Withheld while it stalls; a device that stalls does not say so."""
        import asyncio

        async for packet in super().spikes():
            if (FOLDER / "die").exists():
                raise DeviceLost(self.uri, "the campaign took it away")
            for _ in iter((FOLDER / "stall").exists, False):
                await asyncio.sleep(0.02)
            yield packet


def _step_clock() -> None:
    """Has the wall clock be off by what the file says: all who ask Python for the time see the step."""
    real = time.time

    def stepped() -> float:
        try:
            return real() + float((FOLDER / "clock").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return real()

    time.time = stepped


def _keep_journal() -> None:
    """Writes the ids of promised notices, each whole, before anything else happens."""
    told = Node.tell
    journal = os.open(FOLDER / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(self: Node, notice: Notice) -> None:
        told(self, notice)
        if not isinstance(notice, StateChange):
            os.write(journal, f"{notice.id}\n".encode())

    Node.tell = tell  # type: ignore[method-assign]


def main() -> None:
    """The command line of nrt, with `faulty:` among its devices."""
    devices = registry.DEVICES
    assert isinstance(devices, dict)
    devices["faulty"] = registry.Entry("tests.campaigns.faulty:FaultyDevice", "cpu: with faults")
    with contextlib.suppress(FileExistsError):
        FOLDER.mkdir()
    _step_clock()
    _keep_journal()
    cli.main()


if __name__ == "__main__":
    main()
