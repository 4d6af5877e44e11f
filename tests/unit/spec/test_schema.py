from __future__ import annotations

import copy
import tomllib
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt import spec
from nrt.spec.schema import check, device_schema

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
    """Somewhere in a good definition something is taken away, put in, or replaced."""
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
    found = list(check(document, device_schema()))
    assert (not found) == OTHER.is_valid(document), found
    for place, reason in found:
        assert reason
        assert place[: len(way)] == tuple(way) or way[: len(place)] == list(place)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 4.0, True])
def test_what_toml_calls_a_number_and_json_an_integer_is_none(number: object) -> None:
    document = {**SPECS["tinyodin"], "words": {"w": {"width": number, "fields": {}}}}
    assert [place for place, _ in check(document, device_schema())] == [("words", "w", "width")]


def test_a_keyword_that_the_validator_does_not_know_is_no_silent_yes() -> None:
    with pytest.raises(NotImplementedError, match="minContains"):
        list(check({}, {"minContains": 1}))
