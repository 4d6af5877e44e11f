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
    # The equations of NIR 1.0.8 (nir/ir/neuron.py), forward Euler, hard reset, strict comparison. An IF adds
    # its weights, as in every importer but SpikingJelly's.
    "nir": Semantics(),
    # snnTorch 1.0.0, import_nir.py: dt is 1e-4 in the code, decay 1 - dt/τ, reset to zero in the same step. It
    # divides θ by r dt/τ instead of scaling the input; the spikes are the same. Not copied: IF with decay 0.9.
    "snntorch": Semantics(name="snntorch", dt=100, v_reset="zero"),
    # norse 1.1.0, import_nir.py: dt 1e-3 unless given, LIFBox and IAF cells; r of IF and LIF is ignored.
    "norse": Semantics(name="norse", r="cuba", v_reset="zero", v0="leak"),
    # sinabs 3.1.3, nir.py: decay exp(-1/τ) whatever τ's unit, norm_input=False, MultiSpike and
    # MembraneSubtract by default, IF with min_v_mem = -θ; synapse as in sinabs.layers.LIF (its own import has none).
    "sinabs": Semantics(
        name="sinabs",
        integration="exact",
        input="impulse",
        synapse_input="impulse",
        tau="steps",
        synapse="decayed",
        reset="soft",
        fire=">=",
        spikes="count",
        v_reset="zero",
        r="one",
        floor="if",
    ),
    # SpikingJelly 2.0.0, nir_exchange/from_nir.py: dt 1e-4 unless given, IF needs r = 1/dt, LIF Euler, >=,
    # hard reset to v_reset, where the membrane also starts.
    "spikingjelly": Semantics(name="spikingjelly", dt=100, if_input="current", fire=">=", v0="reset"),
    # rockpool 3.1, nn/modules/torch/{nir,lif_torch}.py: decay exp(-dt/τ), i decayed before v sees it, several
    # spikes a step, soft reset; dt 1e-3 is LIFTorch's default (the import infers dt from r as τ/(1 + r)).
    "rockpool": Semantics(
        name="rockpool",
        integration="exact",
        input="impulse",
        synapse_input="impulse",
        synapse="decayed",
        reset="soft",
        fire=">=",
        spikes="count",
        v_reset="zero",
        r="one",
    ),
    # spyx 1.0, nir.py and nn.py: dt is 1 unless given, so τ counts steps; decay 1 - dt/τ, input and r
    # unscaled; the spike is that of the membrane one step before, and is subtracted after the leak.
    "spyx": Semantics(
        name="spyx",
        input="impulse",
        synapse_input="impulse",
        tau="steps",
        reset="soft",
        timing="fire-first",
        v_reset="zero",
        r="one",
    ),
    # lava-nc 0.10, LIF (float): Euler with dv = dt/τ, hard reset to 0, strict; a Dense process delivers one
    # step later. Lava has no import of its own: dt 1e-4, weights times dt/τ and no r as in the NIR paper's.
    "lava": Semantics(name="lava", dt=100, v_reset="zero", r="one", propagation="next"),
    # nengo 4, neurons.py LIF with tau_ref 0: the exact solution for a current held over the step, reset to 0,
    # no membrane below min_voltage = 0; dt 1e-3 is nengo's default.
    "nengo": Semantics(name="nengo", integration="exact", v_reset="zero", floor="zero"),
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
    allowed = get_args(hint) if get_origin(hint) is Literal else ()
    if name == "dt" and isinstance(value, int | str) and not isinstance(value, bool):
        return microseconds(value)
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it can be {', '.join(allowed) or 'a duration'}")
    return value
