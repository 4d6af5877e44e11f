from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from nrt.page.document import document
from nrt.page.markup import Markup, el, grid, table


class Parsed(HTMLParser):
    """What a parser of somebody else makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(words, words)
def test_text_and_attributes_come_back_as_they_were(text: str, attribute: str) -> None:
    parsed = Parsed(el("p", text, title=attribute))
    assert parsed.tags == [("p", {"title": attribute})]
    assert "".join(parsed.texts) == text


@given(st.lists(st.tuples(words, words), max_size=5))
def test_no_text_makes_an_element(rows: list[tuple[str, str]]) -> None:
    page = document("title", "lead", table(rows), grid([name for name, _ in rows], rows))
    tags = {tag for tag, _ in Parsed(page).tags}
    assert tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "table", "thead", "tbody", "tr", "th",
        "td", "div", "footer",
    }  # fmt: skip


def test_markup_stays_markup_numbers_are_written_short_and_nothing_is_nothing() -> None:
    assert el("p", Markup("<b>x</b>"), 1.0, None, ["a", 2.5]) == "<p><b>x</b>1a2.5</p>"
    assert el("i", cls="a", data_k=3, title=None) == '<i class="a" data-k="3"></i>'


def test_a_page_holds_everything_that_it_needs() -> None:
    parsed = Parsed(document("title", "lead"))
    loading = [attributes for _, attributes in parsed.tags if {"src", "href"} & set(attributes)]
    assert loading == []
    style = next(text for text in parsed.texts if "--paper" in text)
    assert "url(" not in style
    assert "@import" not in style
