"""The reports of a node's runs as files in its data folder, a bounded number of each pipeline."""

from __future__ import annotations

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from nrt.daemon.disk import replace
from nrt.report import Report

_NAME: Final = re.compile(r"\d{8}-\d{8}T\d{6}Z\.json")

log = logging.getLogger("nrt.daemon")


class Reports:
    """`folder/<pipeline>/<number>-<time>.json`, the oldest of which go. Numbers count on over restarts."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._thread = ThreadPoolExecutor(1, "nrt.reports")

    def keep(self, pipeline: str, report: Report) -> None:
        """Has one written, in a thread: to make its text takes long enough to be seen in a pipeline's latency."""
        self._thread.submit(self._write, pipeline, report)

    def close(self) -> None:
        """Waits until all are written."""
        self._thread.shutdown()

    def _write(self, pipeline: str, report: Report) -> None:
        """A disk that is full or broken is logged and costs no more than the report."""
        folder = self._folder / pipeline
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = sorted(each for each in folder.glob("*.json") if _NAME.fullmatch(each.name))
            number = int(kept[-1].name.partition("-")[0]) + 1 if kept else 1
            path = folder / f"{number:08}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
            replace(path, (report.to_json(indent=None) + "\n").encode())
            for old in [*kept, path][: -self._most]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.error("the report of a run cannot be kept: %s", error, extra={"pipeline": pipeline})
