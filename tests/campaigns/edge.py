"""A daemon of its own process for campaigns: started, watched, killed, started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
"""Seconds that a daemon may take to begin or end."""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Edge:
    """`nrt serve` in a process. prelude: a module that is run before it, for faults that it must have inside."""

    def __init__(
        self,
        config: Path,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: str = "nrt",
    ) -> None:
        self._command = (sys.executable, "-m", program, "serve", "--config", str(config), *options)
        paths = os.pathsep.join(str(ROOT / each) for each in (".", "drivers", "sim"))
        self._environment = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.lines: list[str] = []
        """What it said so far, over all its lives."""

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Begins a life."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            cwd=ROOT,
        )
        self._reader = asyncio.create_task(self._read(self._process), name="campaign.reader")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> float:
        """SIGTERM; the seconds until it had ended."""
        began = asyncio.get_running_loop().time()
        self.signal(signal.SIGTERM)
        await self.ended()
        return asyncio.get_running_loop().time() - began

    async def ended(self) -> int:
        """Waits for the end; the exit code."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def close(self) -> None:
        """Ends it, however."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()

    async def said(self, text: str, after: int = 0) -> int:
        """Waits until a line from number `after` on holds `text`; the number of the line after it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for number in range(after, len(self.lines)):
                    if text in self.lines[number]:
                        return number + 1
                if self._process is not None and self._process.returncode is not None:
                    raise AssertionError("the daemon ended:\n" + "\n".join(self.lines[-20:]))
                after = len(self.lines)
                await asyncio.sleep(0.02)

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        return _resident(self.pid)

    def resident_beside(self) -> int:
        """Bytes of memory of the processes that it has started, such as the broker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        return sum(_resident(int(each)) for each in children)

    def descriptors(self) -> int:
        """Its open files, sockets and pipes."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        """Its threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def busy(self) -> float:
        """Seconds of processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
