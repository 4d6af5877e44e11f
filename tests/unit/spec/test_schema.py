from __future__ import annotations

import copy
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt import spec
from nrt.errors import SpecError
from nrt.spec.document import Document
from nrt.spec.page import page
from nrt.spec.read import assemble
from nrt.spec.schema import check, device_schema
from nrt.spec.vectors import check_vector

OTHER = jsonschema.Draft202012Validator(device_schema())
SPECS = {
    name: tomllib.loads((resources.files("firmware_specs") / f"{name}.toml").read_text(encoding="utf-8"))
    for name in spec.names()
}
THINGS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.sampled_from(
        [2**64, -(2**63) - 1, 0.5, "", "x", "9:8", "doc: 1", "Upper", "a\n", [], {}, [1], ["x"], {"x": 1}]
    ),
)


def paths(value: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, part in parts for place in paths(part, (*at, name)))]


PATHS = {name: paths(document) for name, document in SPECS.items()}


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(device_schema())


@given(st.sampled_from(sorted(SPECS)), st.data())
def test_a_document_with_one_thing_changed_is_judged_as_the_jsonschema_package_judges_it(
    name: str, data: st.DataObject
) -> None:
    document, way = changed(name, data)
    found = list(check(document, device_schema()))
    assert (not found) == OTHER.is_valid(document), found
    for place, reason in found:
        assert reason
        assert place[: len(way)] == tuple(way) or way[: len(place)] == list(place)


@given(st.sampled_from(sorted(SPECS)), st.data())
def test_a_changed_document_that_has_the_right_shape_can_be_used_or_is_a_spec_error(
    name: str, data: st.DataObject
) -> None:
    document, _ = changed(name, data)
    if any(check(document, device_schema())):
        return
    try:
        made = assemble(Document(Path("chip.toml"), document, ""))
    except SpecError:
        return
    assert page([made])
    assert all(isinstance(check_vector(made, vector), str) for vector in made.vectors)


def changed(name: str, data: st.DataObject) -> tuple[dict[str, Any], list[str | int]]:
    """A good definition where something is taken away, put in or replaced, and the way to where that was."""
    document = copy.deepcopy(SPECS[name])
    *way, last = data.draw(st.sampled_from([p for p in PATHS[name] if p]))
    around: Any = document
    for part in way:
        around = around[part]
    change = data.draw(st.sampled_from(["remove", "replace", "add"]))
    if change == "remove":
        del around[last]
    elif change == "replace":
        around[last] = data.draw(THINGS)
    elif isinstance(around, dict):
        around[data.draw(st.sampled_from(["extra", "Extra", "description", "source", "bits", "value"]))] = (
            data.draw(THINGS)
        )
    return document, way


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 4.0, True])
def test_what_toml_calls_a_number_and_json_an_integer_is_none(number: object) -> None:
    document = {**SPECS["tinyodin"], "words": {"w": {"width": number, "fields": {}}}}
    assert [place for place, _ in check(document, device_schema())] == [("words", "w", "width")]


def test_a_keyword_that_the_validator_does_not_know_is_no_silent_yes() -> None:
    with pytest.raises(NotImplementedError, match="minContains"):
        list(check({}, {"minContains": 1}))
