"""What signals do, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.e2e.conftest import environment

BEGIN = (
    "import asyncio, os, signal, threading, time\nfrom nrt.cli.interrupt import abandoned, interruptible\n"
)


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_loop_the_first_signal_stops_in_order(number: signal.Signals) -> None:
    done = run(
        "async def main():\n"
        "    event = asyncio.Event()\n"
        "    with interruptible(event.set):\n"
        f"        threading.Timer(0.1, os.kill, (os.getpid(), {int(number)})).start()\n"
        "        await asyncio.wait_for(event.wait(), 30)\n"
        "    print('in order')\n"
        "asyncio.run(main())\n"
    )
    assert (done.returncode, done.stdout) == (0, "in order\n"), done.stderr


def test_without_a_loop_too() -> None:
    done = run(
        "event = threading.Event()\n"
        "with interruptible(event.set):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print(event.wait(30))\n"
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_the_second_signal_ends_the_program() -> None:
    done = run(
        "async def main():\n"
        "    with interruptible(lambda: None):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await asyncio.sleep(30)\n"
        "asyncio.run(main())\n"
    )
    assert done.returncode == -signal.SIGTERM


def test_afterwards_signals_are_what_they_were() -> None:
    done = run(
        "before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)\n"
        "with interruptible(lambda: None):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "print((signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before)\n"
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_what_is_abandoned_ends_at_once_though_a_thread_is_busy() -> None:
    done = run(
        "async def main():\n"
        "    with abandoned(lambda: print('cleaned', flush=True)):\n"
        "        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "        await asyncio.to_thread(time.sleep, 50)\n"
        "asyncio.run(main())\n"
    )
    assert (done.returncode, done.stdout) == (130, "cleaned\n"), done.stderr
