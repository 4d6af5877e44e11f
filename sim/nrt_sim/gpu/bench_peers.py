"""Other projects' simulators on the bench's nets, timed in an interpreter of their own. Runs as a script, without nrt.

    python bench_peers.py LIBRARY THREADS

prints {"version": v}, or {"error": reason}; then, for each line {"net": "a" or "b", "path": npz, "batch": n} on
standard input, runs the net once over all steps from rest, one step at a time, and prints {"seconds": s, "counts":
[...]}: how often each output of the first recording fired; or {"error": reason}. The npz holds the weights (w1 …) and
`frames`, the input of every step as a dense plane. The frames are in memory, repeated for the batch, before the clock
starts. Each library is used as its documentation shows: layers and neurons of its own, one call per step, no gradients.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from typing import Any

LIBRARIES = ("spikingjelly", "snntorch")
Step = Callable[[Any], Any]
"""One step of a net: from its input to what its output fired."""


def spikingjelly(net: str, w: dict[str, Any]) -> Step:
    """SpikingJelly's single-step mode."""
    import torch
    from spikingjelly.activation_based import neuron

    def lif() -> Any:
        return neuron.LIFNode(tau=20.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode="s")

    if net == "b":
        return _recurrent(w, [lif() for _ in range(3)], None)
    from spikingjelly.activation_based import layer

    def conv(weight: Any, stride: int) -> Any:
        made = layer.Conv2d(weight.shape[1], weight.shape[0], 3, stride, 1, bias=False)
        made.weight.data = weight
        return made

    def linear(weight: Any) -> Any:
        made = layer.Linear(weight.shape[1], weight.shape[0], bias=False)
        made.weight.data = weight
        return made

    # an average pool is a quarter of a sum pool
    parts = [
        conv(w["w1"], 2),
        lif(),
        conv(w["w2"], 1),
        lif(),
        layer.AvgPool2d(2),
        conv(4 * w["w3"], 1),
        lif(),
    ]
    parts += [layer.AvgPool2d(2), layer.Flatten(), linear(4 * w["w4"]), lif(), linear(w["w5"]), lif()]
    step: Step = torch.nn.Sequential(*parts).eval()
    return step


def snntorch(net: str, w: dict[str, Any]) -> Step:
    """snnTorch's Leaky with the reset in its step."""
    import snntorch as snn
    import torch
    import torch.nn.functional as f

    layers = [
        snn.Leaky(beta=0.95, threshold=1.0, reset_mechanism="zero", reset_delay=False)
        for _ in range(5 if net == "a" else 3)
    ]
    membranes: list[Any] = [torch.zeros(0)] * len(layers)
    if net == "b":
        return _recurrent(w, layers, membranes)

    def fire(k: int, x: Any) -> Any:
        spikes, membranes[k] = layers[k](x, membranes[k])
        return spikes

    def step(x: Any) -> Any:
        x = fire(0, f.conv2d(x, w["w1"], stride=2, padding=1))
        x = f.avg_pool2d(fire(1, f.conv2d(x, w["w2"], padding=1)), 2)
        x = f.avg_pool2d(fire(2, f.conv2d(x, 4 * w["w3"], padding=1)), 2).flatten(1)
        return fire(4, f.linear(fire(3, f.linear(x, 4 * w["w4"])), w["w5"]))

    return step


def _recurrent(w: dict[str, Any], layers: list[Any], membranes: list[Any] | None) -> Step:
    """Net (b): two recurrent layers, one step late, and an output."""
    before: list[Any] = [0.0, 0.0]

    def fire(k: int, x: Any) -> Any:
        if membranes is None:
            return layers[k](x)
        spikes, membranes[k] = layers[k](x, membranes[k])
        return spikes

    def step(x: Any) -> Any:
        for k in range(2):
            x = x @ w[f"w{k + 1}"].T
            if not isinstance(before[k], float):
                x = x + before[k] @ w[f"r{k + 1}"].T
            x = before[k] = fire(k, x)
        return fire(2, x @ w["w3"].T)

    return step


def _run(library: str, net: str, path: str, batch: int) -> dict[str, Any]:
    import numpy as np
    import torch

    with np.load(path) as file:
        w = {name: torch.from_numpy(file[name]) for name in file.files if name != "frames"}
        frames = torch.from_numpy(file["frames"])
    frames = frames.unsqueeze(1).expand(-1, batch, *frames.shape[1:]).contiguous()
    step = {"spikingjelly": spikingjelly, "snntorch": snntorch}[library](net, w)
    with torch.inference_mode():
        total: Any = 0.0
        begin = time.perf_counter()
        for frame in frames:
            total = total + step(frame)
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "counts": [int(count) for count in total[0].tolist()]}


def main(library: str, threads: int) -> None:
    """Serves runs until standard input ends."""
    try:
        version = importlib.metadata.version(library)
        import torch

        torch.set_num_threads(threads)
        __import__(library)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"version": version}), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        try:
            answer = _run(library, wish["net"], wish["path"], wish["batch"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
