from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt.network import Neuron, Semantics
from nrt.network.lower import from_nir
from nrt.network.presets import PRESETS, semantics
from tests.nir_graphs import chain, cuba, integrator, lif

DECAY = float(np.exp(-0.1))  # τ 10 ms, dt 1 ms


def neuron(node: Any, like: str = "nir", dt: int | str | None = 1000, **choices: Any) -> Neuron:
    """What `node` becomes."""
    found = from_nir(chain(node, inputs=(1,), outputs=(1,)), like=like, dt=dt, **choices)["a"].neuron
    assert found is not None
    return found


def membrane(n: Neuron) -> tuple[float, float, float]:
    return float(n.decay), float(n.gain), float(n.drive)


def test_a_preset_bears_its_name() -> None:
    assert {name: preset.name for name, preset in PRESETS.items()} == {name: name for name in PRESETS}
    assert set(PRESETS) == {
        *("nir", "snntorch", "norse", "sinabs", "spikingjelly", "rockpool", "spyx", "lava", "nengo")
    }


@pytest.mark.parametrize(
    ("choices", "decay", "gain", "drive"),
    [
        ({}, 0.9, 0.2, 0.03),
        ({"integration": "exact"}, DECAY, 2 * (1 - DECAY), 0.3 * (1 - DECAY)),
        ({"integration": "exact", "input": "impulse"}, DECAY, 2.0, 0.3 * (1 - DECAY)),
        ({"input": "impulse", "r": "one"}, 0.9, 1.0, 0.03),
        ({"r": "cuba"}, 0.9, 0.1, 0.03),
        ({"tau": "steps", "integration": "exact"}, float(np.exp(-100)), 2.0, 0.3),
    ],
)
def test_a_leaky_membrane_is_discretised_as_chosen(
    choices: dict[str, str], decay: float, gain: float, drive: float
) -> None:
    n = neuron(lif(tau=0.01, r=2.0, v_leak=0.3), **choices)
    np.testing.assert_allclose(membrane(n), (decay, gain, drive), rtol=1e-12, atol=1e-15)


def test_a_synapse_is_discretised_as_chosen() -> None:
    node = cuba(tau_mem=0.01, tau_syn=0.005, r=4.0, w_in=3.0)

    def synapse(**choices: Any) -> tuple[float, float, float]:
        n = neuron(node, **choices)
        assert n.synapse_decay is not None
        assert n.synapse_gain is not None
        return float(n.synapse_decay), float(n.synapse_gain), float(n.gain)

    alpha = float(np.exp(-0.2))
    np.testing.assert_allclose(synapse(), (0.8, 0.6, 0.4))
    np.testing.assert_allclose(synapse(r="cuba"), (0.8, 0.6, 0.4))
    np.testing.assert_allclose(synapse(r="one"), (0.8, 0.6, 0.1))
    np.testing.assert_allclose(synapse(synapse_input="impulse"), (0.8, 3.0, 0.4))
    np.testing.assert_allclose(
        synapse(like="rockpool"), (alpha, 3 * alpha, 1.0)
    )  # i ← α(i + 3x), v sees all of it


def test_an_integrator_adds_its_weights_unless_its_r_is_a_rate() -> None:
    assert membrane(neuron(integrator())) == (1.0, 1.0, 0.0)
    node = integrator()
    node.r = np.array([1e4])
    assert membrane(neuron(node, like="spikingjelly", dt=100)) == pytest.approx((1.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("like", "fire", "spikes", "reset", "timing"),
    [
        ("nir", ">", "binary", "hard", "immediate"),
        ("snntorch", ">", "binary", "hard", "immediate"),
        ("norse", ">", "binary", "hard", "immediate"),
        ("sinabs", ">=", "count", "soft", "immediate"),
        ("spikingjelly", ">=", "binary", "hard", "immediate"),
        ("rockpool", ">=", "count", "soft", "immediate"),
        ("spyx", ">", "binary", "soft", "fire-first"),
        ("lava", ">", "binary", "hard", "immediate"),
        ("nengo", ">", "binary", "hard", "immediate"),
    ],
)
def test_a_preset_fires_and_resets_as_its_framework_does(
    like: str, fire: str, spikes: str, reset: str, timing: str
) -> None:
    n = neuron(lif(tau=2.0), like=like, tau="seconds")
    assert (n.fire, n.spikes, n.reset, n.timing) == (fire, spikes, reset, timing)


def test_v_reset_comes_from_the_file_unless_it_is_ignored() -> None:
    node = lif(v_reset=0.25, v_leak=0.5)
    assert float(neuron(node).v_reset) == 0.25
    assert float(neuron(node, like="norse").v_reset) == 0.0
    assert float(neuron(node, like="norse").v0) == 0.5
    assert float(neuron(node, like="spikingjelly").v0) == 0.25


def test_only_sinabs_integrators_and_nengos_neurons_have_a_floor() -> None:
    def lowest(node: Any, like: str) -> float | None:
        floor = neuron(node, like=like, tau="seconds").v_min
        return None if floor is None else float(floor)

    assert lowest(integrator(threshold=2.0), "sinabs") == -2.0
    assert lowest(lif(), "sinabs") is None
    assert lowest(lif(), "nengo") == 0.0
    assert lowest(integrator(), "nir") is None


def test_euler_with_a_step_longer_than_a_time_constant_names_node_and_longest_step() -> None:
    with pytest.raises(ConfigError, match=r"a: forward Euler with dt 3000 µs is unstable at tau_syn 2500 µs"):
        neuron(cuba(tau_syn=0.0025), dt=3000)
    with pytest.raises(ConfigError, match="choose dt at most 2500 µs, or integration=exact"):
        neuron(cuba(tau_syn=0.0025), dt=3000)
    neuron(cuba(tau_syn=0.0025), dt=2500)
    neuron(cuba(tau_syn=0.0025), dt=3000, integration="exact")
    with pytest.raises(ConfigError, match="below 1 µs, the shortest step"):
        neuron(lif(tau=1e-7))
    with pytest.raises(ConfigError, match=r"tau is 0\.01 steps; forward Euler needs at least 1"):
        neuron(lif(tau=0.01), tau="steps")


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_time_constants_must_be_above_zero(tau: float) -> None:
    with pytest.raises(ConfigError, match=r"a: tau is .*; it must be above zero"):
        neuron(lif(tau=tau), integration="exact")


def test_dt_is_a_duration_of_whole_microseconds() -> None:
    assert semantics(dt="1ms").dt == semantics(dt=1000).dt == semantics(overrides={"dt": "1 ms"}).dt == 1000
    assert semantics("norse").dt == 1000
    assert semantics("snntorch").dt == 100
    for bad in (0, -5, "0ms", "1.5us", "soon"):
        with pytest.raises(ConfigError):
            semantics(dt=bad)


def test_single_choices_are_overridden_and_the_rest_stays() -> None:
    chosen = semantics("sinabs", overrides={"reset": "hard", "tau": "seconds"})
    for field in fields(Semantics):
        expected = {"reset": "hard", "tau": "seconds"}.get(field.name, getattr(PRESETS["sinabs"], field.name))
        assert getattr(chosen, field.name) == expected


def test_unknown_presets_choices_and_values_list_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no preset 'brian'; there is lava, nengo, nir, norse"):
        semantics("brian")
    with pytest.raises(ConfigError, match="no choice 'resets'; there is dt, integration, input"):
        semantics(overrides={"resets": "soft"})
    with pytest.raises(ConfigError, match="no choice 'name'"):
        semantics(overrides={"name": "mine"})
    with pytest.raises(ConfigError, match="reset is 'softly'; it can be hard, soft, none"):
        semantics(overrides={"reset": "softly"})
    with pytest.raises(ConfigError, match="fire is 3; it can be >=, >"):
        semantics(overrides={"fire": 3})


def test_what_a_preset_cannot_do_is_noted() -> None:
    made = chain(cuba(tau_mem=20.0, tau_syn=10.0), inputs=(1,), outputs=(1,))
    (note,) = from_nir(made, like="spyx").notes
    assert note.startswith("spyx subtracts a CubaLIF's threshold before the leak")
