"""SourceConformance over the sources that are made of others: reconnected, recorded raw, merged."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from nrt import registry
from nrt.record import Transfer
from nrt.record.raw_sink import RawSink
from nrt.testing import SourceConformance
from nrt.testing.source import Scene

SCENE = "synth:bar?sensor=dvs128&seconds=1"


class TestReconnected(SourceConformance):
    uri: ClassVar[str] = "edvs+emu:?reconnect=10s"
    live: ClassVar[bool] = True
    plays: ClassVar[bool] = True
    damages: ClassVar[str] = "faults=in.corrupt:1e-4,in.lose:1e-4,seed:1"


class TestRaw(SourceConformance):
    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        path = Path(self.folder, "some.nrtraw")
        await Transfer(registry.source("edvs+emu:"), RawSink(path, replace=True), limit=200_000).run()
        yield f"raw:{path}"


class TestMerged(SourceConformance):
    uri: ClassVar[str] = f"merge:?a={quote(SCENE, safe='')}&b={quote(SCENE, safe='')}"


class TestMergedCameras(SourceConformance):
    """Their frames of time and their losses are those of the merge; a slow consumer is the cameras' business."""

    uri: ClassVar[str] = "merge:?a=edvs+emu:&b=edvs+emu:"
