"""The reports of a node's runs as files in its data folder, a bounded number of each pipeline."""

from __future__ import annotations

import itertools
import logging
import time
from pathlib import Path

from nrt.report import Report

log = logging.getLogger("nrt.daemon")


class Reports:
    """`folder/<pipeline>/<time>-<boot>-<number>.json`, the oldest of which go."""

    def __init__(self, folder: Path, boot: str, most: int) -> None:
        self._folder, self._boot, self._most = folder, boot, most
        self._numbers = itertools.count(1)

    def keep(self, pipeline: str, report: Report) -> None:
        """Writes one; a disk that is full or broken is logged and costs no more than the report."""
        folder = self._folder / pipeline
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = folder / f"{stamp}-{self._boot}-{next(self._numbers):04}.json"
        partial = path.with_suffix(".part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(report.to_json() + "\n", encoding="utf-8")
            partial.rename(path)
            for old in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)[: -self._most]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.error("the report %s cannot be kept: %s", path, error, extra={"pipeline": pipeline})
