"""`nrt replay`: repeats what a report in a JSON file tells of, and says what changed."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from nrt import plain
from nrt.compare import Comparison
from nrt.compare.result import FORMAT as COMPARISON
from nrt.errors import ConfigError
from nrt.page import save
from nrt.replay import Instead, Replay, replay_comparison, replay_run
from nrt.report import FORMAT as REPORT
from nrt.report import Report


def replay_file(path: Path, instead: Instead, *, out: Path | None, json: bool) -> bool:
    """Replays all that is in `path`; whether every output was equal. Raises NotFound, ConfigError, what runs raise."""
    documents = _documents(path)
    if out is not None and len(documents) > 1:
        raise ConfigError(f"--out {out}: {path} holds {len(documents)} reports; write one at a time")
    found: list[Replay] = []
    for k, document in enumerate(documents):
        with Console(stderr=True).status(f"{k} of {len(documents)} replayed"):
            found.append(asyncio.run(_replay(document, instead)))
        if not json:
            print(found[-1])
    if json:
        told = [each.to_dict() for each in found]
        print(json_module.dumps(told[0] if len(told) == 1 else told, indent=2))
    if out is not None:
        save(found[0].result, out)
    return all(each.equal for each in found)


def _documents(path: Path) -> list[Mapping[str, Any]]:
    """The reports in a file: one, or the list that `nrt run` writes for several recordings."""
    found: Any = plain.read(path)
    documents: list[Any] = found if isinstance(found, list) else [found]
    for each in documents:
        if not isinstance(each, dict) or each.get("format") not in (REPORT, COMPARISON):
            raise ConfigError(f"{path} holds no report of a run and no comparison")
    if not documents:
        raise ConfigError(f"{path} holds no report")
    return documents


async def _replay(document: Mapping[str, Any], instead: Instead) -> Replay:
    if document["format"] == COMPARISON:
        return await replay_comparison(Comparison.from_dict(document), instead)
    return await replay_run(Report.from_dict(document), instead)
