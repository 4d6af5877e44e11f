from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

import nrt
from nrt.compare.stored import compare_stored, read_report
from nrt.errors import ConfigError, NotFound
from nrt.report import Report
from tests.unit.compare.devices import Changed, network, recording, weighted


async def report(device: nrt.Device | str = "cpu:", seed: int = 0) -> Report:
    async def run() -> Report:
        async with nrt.open(device) as session:
            await session.deploy(network())
            return await session.run(recording(seed))

    return await asyncio.wait_for(run(), 60)


async def test_two_runs_of_equal_spikes_are_equal() -> None:
    pair = compare_stored(await report("cpu:"), await report("reference:"))
    assert pair.equal
    assert pair.cosine["out"] == pytest.approx(0.0, abs=1e-12)
    assert "equal, spike for spike" in str(pair)


async def test_two_runs_that_differ_say_by_how_much() -> None:
    pair = compare_stored(await report("cpu:"), await report(Changed(weighted(1, 0, 0, 3.0))))
    assert pair.equal is False
    assert pair.cosine["out"] is not None
    assert pair.cosine["out"] > 0.001
    json.dumps(pair.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"semantics": {"dt": 500}}, "different semantics"),
        ({"encoding": {"pool": 2}}, "different input encodings"),
        ({"network": {"name": "tiny", "hash": "f" * 64, "neurons": "8"}}, "different networks"),
        ({"source": {"uri": "test:other"}}, "different sources"),
        ({"source": {"uri": "file:a", "fingerprint": "1"}}, "different recordings"),
        ({"events": 7}, "different parts"),
        ({"error": "DeviceLost: gone"}, "did not run to its end"),
    ],
)
async def test_runs_of_different_things_refuse_and_say_why(change: dict[str, object], said: str) -> None:
    first = await report()
    if said == "different recordings":
        first = dataclasses.replace(first, source={"uri": "file:b", "fingerprint": "2"})
    second = dataclasses.replace(first, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said):
        compare_stored(first, second)


async def test_how_fast_a_recording_was_played_makes_it_no_other_one() -> None:
    first = dataclasses.replace(await report(), source={"uri": "synth:bar?speed=1&seed=3"})
    second = dataclasses.replace(first, source={"uri": "synth:bar?seed=3"})
    assert compare_stored(first, second).equal


async def test_a_report_is_read_back_and_other_documents_are_refused(tmp_path: Path) -> None:
    written = await report()
    path = tmp_path / "report.json"
    path.write_text(written.to_json(), encoding="utf-8")
    assert compare_stored(written, read_report(path)).equal
    with pytest.raises(NotFound, match="nowhere"):
        read_report(tmp_path / "nowhere.json")
    for text, said in (("{", "no JSON"), ("[]", "no report")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            read_report(path)
