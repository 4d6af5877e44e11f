"""A sweep: what its journal lacks is run, row by row onto the disk, until all is there or somebody stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nrt.errors import ConfigError
from nrt.sweep import results
from nrt.sweep.executor import Executor, NotRun
from nrt.sweep.item import Item, Plan, Row
from nrt.sweep.journal import SUFFIX, Journal


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has come to. rows: those of the plan, in its order, old and new.

    resumed: how many were there before · not_run: what could not be begun, by device and model
    items:   how many rows there will be when all is done
    """

    rows: tuple[Row, ...]
    items: int
    resumed: int
    not_run: tuple[NotRun, ...] = ()

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of recordings that ended in an error."""
        return tuple(row for row in self.rows if row.error)

    @property
    def done(self) -> bool:
        """Whether every item of the plan has its row."""
        return len(self.rows) == self.items


async def sweep(
    plan: Plan,
    out: Path,
    executor: Executor,
    *,
    retry: bool = False,
    started: Callable[[int, int], None] | None = None,
    done: Callable[[Row], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Sweep:
    """Runs what the journal beside `out` lacks of `plan`, and writes all rows of the plan to `out` (HDF5 or Parquet).

    retry:   runs recordings again that ended in an error
    started: called with how many rows are there already, and of how many · done: with every new row
    stop:    set it to end early; what is under way is dropped, the results so far are written

    Raises ConfigError for an `out` that is not a sweep's, MissingDependency, and NrtError where the disk is full.
    """
    path = _journal(out)
    items = await asyncio.to_thread(plan.items)
    with Journal(path) as journal:
        known = {item.id for item in items if _settled(journal.rows.get(item.id), retry)}
        if started is not None:
            started(len(known), len(items))

        def keep(row: Row) -> None:
            if journal.append(row) and done is not None:
                done(row)

        left = [item for item in items if item.id not in known]
        not_run: Sequence[NotRun] = ()
        try:
            if left:
                not_run = await _until(executor, left, plan, keep, stop)
        finally:
            rows = tuple(journal.rows[item.id] for item in items if item.id in journal.rows)
            results.write(out, rows, plan, not_run)
        return Sweep(rows, len(items), len(known), tuple(not_run))


def _journal(out: Path) -> Path:
    """Where the journal of the results `out` lies. Raises ConfigError for an `out` that is not a sweep's."""
    results.check(out)
    path = out.with_name(out.name + SUFFIX)
    if out.exists() and not path.exists():
        raise ConfigError(
            f"{out} is there, without the journal of a sweep ({path.name}) beside it; choose another name"
        )
    return path


def _settled(row: Row | None, retry: bool) -> bool:
    return row is not None and not (retry and row.error)


async def _until(
    executor: Executor,
    items: Sequence[Item],
    plan: Plan,
    done: Callable[[Row], None],
    stop: asyncio.Event | None,
) -> Sequence[NotRun]:
    """Runs `items`, until `stop` is set."""
    work = asyncio.create_task(_gathered(executor, items, plan, done), name="nrt.sweep")
    waiting = asyncio.create_task((stop or asyncio.Event()).wait(), name="nrt.sweep.stop")
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        return ()
    finally:
        for task in (work, waiting):
            task.cancel()
        await asyncio.wait({work, waiting})


async def _gathered(
    executor: Executor, items: Sequence[Item], plan: Plan, done: Callable[[Row], None]
) -> Sequence[NotRun]:
    return await executor.run(items, plan.models, done)
