from __future__ import annotations

from pathlib import Path

import pytest

from nrt.filters import FILTERS
from nrt.filters.page import page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_about_filters_says_what_the_code_does() -> None:
    if not DOCS.is_dir():
        pytest.skip("the documentation is not here")
    assert page() in (DOCS / "filters.md").read_text(encoding="utf-8"), (
        "write it anew: python -m nrt.filters.page"
    )


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_says_where_its_definition_comes_from(name: str) -> None:
    assert len(FILTERS[name].origin) > 10
    assert f"Source: {FILTERS[name].origin}." in page()
