"""Compiling in a process of its own."""

from __future__ import annotations

import subprocess

import pytest

from nrt_sim.cpu.apart import compile_apart
from nrt_sim.cpu.engine import warm


def test_no_process_is_started_for_kernels_that_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    warm()

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    compile_apart()
