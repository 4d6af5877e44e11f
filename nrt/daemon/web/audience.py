"""Audience: everybody who looks at a node, and what they are told.

Twice a second each pipeline's figures go to all viewers; notices and lines of the log go as they come; frames go to
those who look at the pipeline. What a viewer has not taken when more comes is dropped for that viewer alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from nrt.daemon.config import PipelineConfig
from nrt.daemon.logs import Line
from nrt.daemon.node import Node, info
from nrt.daemon.notice import Alarm, Decision, Json, Notice
from nrt.daemon.web.frames import Frames
from nrt.daemon.web.history import History, describe
from nrt.daemon.web.viewer import Viewer
from nrt.device import Placement

EVERY: Final = 0.5
"""Seconds between figures."""
NOTICES: Final = 200
"""Notices that a page gets when it is opened."""
LINES: Final = 500
"""Lines of the log that it gets then, and at most at a time afterwards."""


class Audience:
    """The viewers of `node`. From when it is made it misses no notice."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._viewers: set[Viewer] = set()
        self._frames: dict[str, Frames] = {}
        self._histories: dict[str, History] = {}
        self._deployed: dict[str, tuple[PipelineConfig, Placement | None]] = {}
        """What pages were told of each pipeline, but for its state."""
        self._notices: deque[dict[str, Json]] = deque(maxlen=NOTICES)
        self._lines: deque[Json] = deque(maxlen=LINES)
        self._unlisten = [node.listen(self._notice), node.log.listen(self._line)]
        self._stale = False
        """Whether pages must be told anew what pipelines there are."""

    def __len__(self) -> int:
        return len(self._viewers)

    async def run(self) -> None:
        """Follows the node, until cancelled."""
        try:
            while True:
                self._tick()
                await asyncio.sleep(EVERY)
        finally:
            for frames in self._frames.values():
                await frames.stop()
            self._frames.clear()

    async def hang_up(self) -> None:
        """Ends every connection."""
        await asyncio.gather(*(viewer.hang_up() for viewer in self._viewers), return_exceptions=True)

    def close(self) -> None:
        """Listens no more."""
        for unlisten in self._unlisten:
            unlisten()

    @contextlib.asynccontextmanager
    async def member(self, viewer: Viewer) -> AsyncGenerator[None]:
        """`viewer` is told everything while this lasts."""
        viewer.tell({"type": "node", "info": info(self._node)})
        viewer.tell(self._pipelines())
        viewer.tell({"type": "notices", "notices": list(self._notices)})
        lines: list[Json] = [line.to_dict() for line in self._node.log.recent(LINES)]
        viewer.tell({"type": "log", "lines": lines, "whole": True})
        self._viewers.add(viewer)
        try:
            yield
        finally:
            self._viewers.discard(viewer)
            await self._release()

    async def view(self, viewer: Viewer, name: str) -> None:
        """`viewer` looks at the pipeline of that name from now on; at none if there is none."""
        viewer.forget_frames()
        viewer.pipeline = name
        await self._release()
        pipeline = self._node.pipelines.get(name)
        if pipeline is None:
            return
        if name in self._histories:
            viewer.tell({"type": "history", "pipeline": name, "figures": self._histories[name].kept()})
        if name not in self._frames:

            def show(frame: bytes, number: int, stamp: int) -> None:
                self._show(name, frame, number, stamp)

            frames = Frames(pipeline, show, self._changed)
            self._frames[name] = frames
            frames.start()

    async def _release(self) -> None:
        """Makes no frames of what nobody looks at."""
        watched = {viewer.pipeline for viewer in self._viewers}
        for name in [*self._frames]:
            if name not in watched or self._node.pipelines.get(name) is not self._frames[name].pipeline:
                await self._frames.pop(name).stop()

    def _show(self, name: str, frame: bytes, number: int, stamp: int) -> None:
        for viewer in self._viewers:
            if viewer.pipeline == name:
                viewer.show(frame, number, stamp)

    def _changed(self) -> None:
        self._stale = True
        asyncio.get_running_loop().call_soon(self._tell_pipelines)

    def _tell_pipelines(self) -> None:
        if self._stale:
            self._stale = False
            self._tell(self._pipelines())

    def _pipelines(self) -> dict[str, Json]:
        found: list[Json] = []
        for name, pipeline in self._node.pipelines.items():
            frames = self._frames.get(name)
            found.append(describe(pipeline, frames.bands if frames else (), frames.layout if frames else 0))
        return {"type": "pipelines", "pipelines": found}

    def _tell(self, message: dict[str, Json]) -> None:
        if self._viewers:
            text = json.dumps(message, allow_nan=False, separators=(",", ":"))
            for viewer in self._viewers:
                viewer.pass_on(text)

    def _notice(self, notice: Notice) -> None:
        kind = (
            "decision" if isinstance(notice, Decision) else "alarm" if isinstance(notice, Alarm) else "state"
        )
        message: dict[str, Json] = {"type": kind, **notice.to_dict()}
        self._notices.append(message)
        self._tell(message)
        if kind == "state":
            self._changed()

    def _line(self, line: Line) -> None:
        """A line of the log, from whatever thread."""
        if self._viewers:
            self._lines.append(line.to_dict())

    def _tick(self) -> None:
        pipelines = self._node.pipelines
        deployed = {name: (each.config, each.placement) for name, each in pipelines.items()}
        if deployed != self._deployed:
            self._deployed = deployed
            self._histories = {name: self._histories.get(name, History()) for name in pipelines}
            self._changed()
        figures: dict[str, Json] = {}
        for name, pipeline in pipelines.items():
            history = self._histories[name]
            if self._viewers or history.due:  # figures take a millisecond: none that nobody sees
                figures[name] = history.take(pipeline.stats())
        self._tell({"type": "stats", "pipelines": figures})
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._tell({"type": "log", "lines": lines, "whole": False})
        for viewer in self._viewers:
            viewer.tell({"type": "viewer", "viewers": len(self._viewers), **viewer.figures()})
