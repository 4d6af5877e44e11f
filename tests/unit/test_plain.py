from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from nrt import plain
from nrt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Inner:
    value: float
    pair: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    kind: Literal["a", "b"]
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    table: Mapping[str, int] = field(default_factory=dict[str, int])
    rest: Mapping[str, Any] = field(default_factory=dict[str, Any])
    flag: bool = False


FULL = Outer("x", "b", Inner(1.5, (3, 4)), (Inner(2.0), Inner(0.1)), {"n": 3}, {"free": [1, None]}, True)


def test_what_is_encoded_is_decoded() -> None:
    assert plain.decode(Outer, json.loads(json.dumps(plain.encode(FULL), allow_nan=False))) == FULL


def test_what_is_no_number_is_null_and_comes_back_as_none() -> None:
    encoded = plain.encode(Inner(math.inf))
    assert encoded["value"] is None
    assert math.isnan(plain.decode(Inner, encoded).value)


def test_names_that_are_new_are_left_out_and_defaults_filled_in() -> None:
    assert plain.decode(Outer, {"name": "x", "kind": "a", "later": 7}) == Outer("x", "a")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name is 3; it must be str"),
        ({"kind": "c"}, "kind is 'c'; it can be 'a', 'b'"),
        ({"inner": {"value": "much"}}, "inner.value is 'much'; it must be a number"),
        ({"inner": {}}, "inner.value is missing"),
        ({"many": [{"value": 1}, 2]}, r"many\[1\] must be an object"),
        ({"many": "text"}, "many must be a list"),
        ({"inner": {"value": 1, "pair": [1]}}, "inner.pair must be a list of 2"),
        ({"table": {"n": True}}, "table.n is True; it must be int"),
        ({"table": [1]}, "table must be an object"),
        ({"flag": 1}, "flag is 1; it must be bool"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_place(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plain.decode(Outer, {**plain.encode(FULL), **change})
