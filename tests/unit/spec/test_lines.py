from __future__ import annotations

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from nrt.spec.lines import locate, nearest

DOCUMENT = """\
# a comment with [brackets] and = signs
title = "a [string] with # no comment"

[a]
"quoted \\t key".inner = 1
'literal' = '''
[not.a.table]
''' # [nor.this]
[a.b]
list = [ # comment
  1,
  { x = 1, y = [2, 3] }, "]",
]
date = 1979-05-27 07:32:00

[[rows]]
k = \"\"\"
one \\"\"\" two
\"\"\"\"
[[rows]]
k = 2
[rows.sub]
deep = -1.5e3
  [[rows.sub.again]]
"""


def test_every_kind_of_place_has_its_line() -> None:
    lines = locate(DOCUMENT)
    expected = {
        ("title",): 2,
        ("a",): 4,
        ("a", "quoted \t key"): 5,
        ("a", "quoted \t key", "inner"): 5,
        ("a", "literal"): 6,
        ("a", "b"): 9,
        ("a", "b", "list"): 10,
        ("a", "b", "list", 0): 11,
        ("a", "b", "list", 1): 12,
        ("a", "b", "list", 1, "y", 1): 12,
        ("a", "b", "date"): 14,
        ("rows", 0): 16,
        ("rows", 0, "k"): 17,
        ("rows", 1): 20,
        ("rows", 1, "k"): 21,
        ("rows", 1, "sub"): 22,
        ("rows", 1, "sub", "deep"): 23,
        ("rows", 1, "sub", "again", 0): 24,
    }
    assert {place: lines.get(place) for place in expected} == expected


def test_a_place_without_a_line_has_that_of_what_is_around_it() -> None:
    lines = locate(DOCUMENT)
    assert nearest(lines, ("a", "b", "missing")) == 9
    assert nearest(lines, ("nowhere",)) == 1


KEYS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=6)
LEAVES = st.one_of(
    st.integers(-9, 9), st.booleans(), st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=9)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def written(value: object) -> str:
    """A value in one line of TOML."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {written(v)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def places(value: object, at: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    """Every place inside a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, part in parts for place in [(*at, name), *places(part, (*at, name))]]


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_every_place_of_any_document_has_a_line_and_nothing_else_has(
    document: dict[str, dict[str, object]],
) -> None:
    text: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    for table, rows in document.items():
        text.append(f"[{json.dumps(table, ensure_ascii=False)}]")
        expected[(table,)] = len(text)
        for key, value in rows.items():
            text.append(f"{json.dumps(key, ensure_ascii=False)} = {written(value)}  # [x]")
            for place in [(table, key), *places(value, (table, key))]:
                expected[place] = len(text)
    whole = "\n".join(text)
    assert tomllib.loads(whole) == document
    assert locate(whole) == expected
