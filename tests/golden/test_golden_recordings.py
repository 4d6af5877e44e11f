"""Every recording in shared/data/events, decoded as at least two independent decoders decode it.

golden.json was made with other projects' software (its `agree` lists say which), never with nrt's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nrt.formats.table
from nrt.formats.digest import digest

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "events"
GOLDEN: dict[str, Any] = (
    json.loads((DATA / "golden.json").read_text()) if (DATA / "golden.json").exists() else {}
)

pytestmark = pytest.mark.skipif(not GOLDEN, reason=f"no recordings at {DATA}")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_recording_decodes_to_the_events_that_other_decoders_agree_on(name: str) -> None:
    golden = GOLDEN[name]
    with nrt.formats.table.open(DATA / name) as recording:
        found = digest(recording)
    assert found["events"] == golden["events"]
    assert found["format"] == golden["format"]
    assert (found["bytes"], found["sha256_file"]) == (golden["bytes"], golden["sha256_file"])
    if "ext_triggers" in golden:
        assert found.get("ext_triggers") == golden["ext_triggers"]
