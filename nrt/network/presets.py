"""Presets of Semantics: what each framework means by a NIR file.

Every choice is what the framework's own import of NIR (or, where it has none, its neuron) does; defects of
an import that its authors have since mended are not copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final, Literal, get_args, get_origin, get_type_hints

from nrt.clock import microseconds
from nrt.errors import ConfigError
from nrt.network.semantics import Semantics

PRESETS: Final[Mapping[str, Semantics]] = {
    # The equations of NIR 1.0.8, forward Euler, hard reset to v_reset, strict comparison; IF counts weights.
    "nir": Semantics(),
    "snntorch": Semantics(name="snntorch", dt=100),
    "norse": Semantics(name="norse", use_r=False, v_reset="zero"),
    "sinabs": Semantics(
        name="sinabs",
        integration="exact",
        tau="steps",
        synapse="decayed",
        synapse_input="impulse",
        reset="soft",
        fire=">=",
        spikes="count",
        use_r=False,
        floor=True,
    ),
}


def semantics(
    like: str | None = None, dt: int | str | None = None, overrides: Mapping[str, object] | None = None
) -> Semantics:
    """The preset `like` ("nir" if None) with `dt` and single fields replaced.

    Raises ConfigError for an unknown preset, field or value, listing what there is.
    """
    preset = "nir" if like is None else like
    if preset not in PRESETS:
        raise ConfigError(f"no preset '{preset}'; there is {', '.join(sorted(PRESETS))}")
    chosen = {f.name: getattr(PRESETS[preset], f.name) for f in fields(Semantics)}
    for name, value in (overrides or {}).items():
        chosen[name] = _checked(name, value)
    if dt is not None:
        chosen["dt"] = microseconds(dt)
    if not 1 <= chosen["dt"] < 2**53:
        raise ConfigError(f"dt is {chosen['dt']} µs; it must be at least 1")
    return Semantics(**chosen)


def _checked(name: str, value: object) -> object:
    """`value` if the field `name` can take it; text is understood where a user can only write text."""
    hints = get_type_hints(Semantics)
    choosable = [n for n in hints if n != "name"]
    if name not in choosable:
        raise ConfigError(f"no choice '{name}'; there is {', '.join(choosable)}")
    hint = hints[name]
    if name == "dt" and isinstance(value, int | str) and not isinstance(value, bool):
        return microseconds(value)
    if hint is bool:
        value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        allowed: tuple[object, ...] = (True, False)
    else:
        allowed = get_args(hint) if get_origin(hint) is Literal else ()
    if not isinstance(value, bool | str) or value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it can be {', '.join(str(a) for a in allowed)}")
    return value
