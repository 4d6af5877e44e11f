from __future__ import annotations

import contextlib
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.errors import ConfigError, NotFound, NrtError
from nrt.network import load
from nrt.network.nir import Graph, Node, read
from tests.nir_graphs import chain, integrator, lif, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(chain(nir.Linear(np.ones((1, 1))), lif(), inputs=(1,), outputs=(1,)), tmp_path)


def test_a_file_written_by_nir_is_read_back_with_every_parameter(path: Path) -> None:
    graph = read(path)
    assert graph.version == nir.version
    assert set(graph.nodes) == {"input", "a", "b", "output"}
    node = graph.nodes["b"]
    assert isinstance(node, Node)
    assert node.type == "LIF"
    assert set(node.values) == {"tau", "r", "v_leak", "v_threshold", "v_reset"}
    assert set(graph.edges) == {("input", "a"), ("a", "b"), ("b", "output")}


def test_names_and_types_may_be_stored_as_fixed_length_bytes(tmp_path: Path) -> None:
    path = tmp_path / "fixed.nir"
    with h5py.File(path, "w") as file:
        file["version"] = np.bytes_("0.2.0")
        top = file.create_group("node")
        top["type"] = np.bytes_("NIRGraph")
        top["edges"] = np.array([[b"in", b"n"], [b"n", b"out"]], "S8")
        for name, kind, values in [
            ("in", "Input", {"shape": np.array([1])}),
            ("n", "IF", {"r": np.ones(1), "v_threshold": np.ones(1)}),
            ("out", "Output", {"shape": np.array([1])}),
        ]:
            node = top.create_group(f"nodes/{name}")
            node["type"] = np.bytes_(kind)
            for key, value in values.items():
                node[key] = value
    network = load(path)
    assert [p.name for p in network.populations] == ["in", "n"]
    assert network.outputs == ("n",)


def test_metadata_and_unknown_parameters_are_left_alone(tmp_path: Path) -> None:
    node = integrator()
    node.metadata = {"author": "somebody", "rate": 3}
    path = written(chain(node, inputs=(1,), outputs=(1,)), tmp_path)
    with h5py.File(path, "a") as file:
        file["node/nodes/a/colour"] = "red"
    assert load(path).outputs == ("a",)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no file .*nowhere\.nir"):
        load(tmp_path / "nowhere.nir")


def test_a_file_that_is_not_hdf5_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text.nir"
    path.write_text("hello")
    with pytest.raises(ConfigError, match=r"text\.nir is no NIR file: it is not HDF5"):
        load(path)


def test_an_hdf5_file_without_a_graph_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(3)
    with pytest.raises(ConfigError, match="it has no group 'node'"):
        load(path)


def test_a_file_of_one_node_is_no_graph(tmp_path: Path) -> None:
    path = written(integrator(), tmp_path)
    with pytest.raises(ConfigError, match="holds a single IF node and no graph"):
        load(path)


@pytest.mark.parametrize("missing", ["type", "nodes", "nodes/a/type"])
def test_a_graph_with_a_part_missing_is_refused(missing: str, path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file[f"node/{missing}"]
    with pytest.raises(ConfigError, match=r"has no type|has no nodes"):
        load(path)


def test_a_missing_weight_names_the_node(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["node/nodes/a/weight"]
    with pytest.raises(ConfigError, match="a: the Linear node has no weight"):
        load(path)


def test_a_shape_that_the_file_does_not_hold_is_refused_without_allocating_it(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["node/nodes/a/weight"]
        file.create_dataset("node/nodes/a/weight", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(1024, 1024))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"'a.weight' claims shape \(1048576, 1048576\)"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_same_dataset_linked_many_times_cannot_exhaust_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.nir"
    with h5py.File(path, "w") as file:
        nodes = file.create_group("node/nodes")
        file["node/type"] = "NIRGraph"
        zeros = file.create_dataset("node/zeros", data=np.zeros(1 << 24, np.uint8), compression="gzip")
        for k in range(64):
            node = nodes.create_group(f"n{k}")
            node["type"] = "Linear"
            node["weight"] = zeros
    tracemalloc.start()
    with pytest.raises(ConfigError, match="claims shape"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 << 20


@pytest.mark.parametrize("link", [h5py.SoftLink("/node"), h5py.ExternalLink("other.h5", "/node")])
def test_links_are_refused(link: Any, path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["node/nodes/linked"] = link
    with pytest.raises(ConfigError, match=r"is a link|uses more of HDF5"):
        load(path)


def test_a_graph_that_contains_itself_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["node/nodes/again"] = file["node"]
    with pytest.raises(ConfigError, match="nested in themselves"):
        load(path)


def test_numbers_kept_in_another_file_are_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["node/nodes/a/weight"]
        layout = h5py.VirtualLayout((1, 1), "f8")
        layout[:] = h5py.VirtualSource("/etc/hostname", "x", (1, 1))
        file.create_virtual_dataset("node/nodes/a/weight", layout)
    with pytest.raises(ConfigError, match=r"'a.weight' holds NoneType"):
        load(path)


def test_a_file_that_was_cut_short_gives_an_error_and_never_anything_else(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.nir"
    for length in range(0, len(whole), len(whole) // 60):
        cut.write_bytes(whole[:length])
        with pytest.raises(NrtError):
            load(cut)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=19))
def test_a_garbled_file_is_read_or_refused_and_never_anything_else(changes: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        garbled = written(
            chain(nir.Linear(np.ones((2, 2))), lif((2,)), inputs=(2,), outputs=(2,)), Path(folder)
        )
        content = bytearray(garbled.read_bytes())
        for place, value in changes:
            content[int(place * len(content))] = value
        garbled.write_bytes(content)
        with contextlib.suppress(NrtError):
            load(garbled)


def test_a_file_that_may_not_be_opened_is_refused(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open anything")
    path.chmod(0)
    with pytest.raises(NrtError):
        load(path)


def test_an_object_of_the_nir_package_is_read_like_its_file(tmp_path: Path) -> None:
    from nrt.network.lower import from_nir

    graph = chain(nir.Linear(np.full((1, 1), 0.5)), lif(), inputs=(1,), outputs=(1,))
    from_object, from_file = from_nir(graph), load(written(graph, tmp_path))
    assert from_object.hash == from_file.hash


def test_a_subgraph_in_a_file_is_a_graph_in_a_graph(tmp_path: Path) -> None:
    inner = chain(integrator(), inputs=(1,), outputs=(1,))
    graph = read(written(chain(inner, inputs=(1,), outputs=(1,)), tmp_path))
    assert isinstance(graph.nodes["a"], Graph)
