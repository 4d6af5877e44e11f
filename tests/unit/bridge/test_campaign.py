"""The campaign of tests/campaigns/wires.py, a few faults of each kind; the whole of it is a command."""

from __future__ import annotations

import pytest

from tests.campaigns.wires import KINDS, Outcome, trial


@pytest.mark.parametrize("kind", KINDS)
async def test_the_books_balance_whatever_the_line_does(kind: str) -> None:
    outcome = Outcome()
    for seed in (1, 2):
        await trial(kind, seed, outcome, count=500)
    assert outcome.wrong == []
    assert outcome.trials == 2
    assert outcome.done + outcome.died == 2
