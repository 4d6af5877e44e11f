"""NIR's linear nodes as operators: each takes the shape that arrives and gives operators, bias and shape.

Shapes leave out batch and time. A signal of two dimensions (C, L), as Conv1d has it, is (C, 1, L) here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, Unsupported
from nrt.network.graph import PASS
from nrt.network.nir import Node
from nrt.network.operators import Array, Conv, Dense, Operator, Pair, Pool, Scale, array

Shape = tuple[int, ...]
MAX_SIZE: Final = 2**25
"""Most elements of all signals of a network together: a few numbers in a file must not fill the memory."""
_MAX_WINDOW: Final = 2**20
_MAX_KERNEL: Final = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """What one linear node does: operators in order, then `bias` (None, or of shape `shape`).

    delays: seconds, () or one per element of the output
    """

    operators: tuple[Operator, ...]
    shape: Shape
    bias: Array | None = None
    delays: Array | None = None


def linear(name: str, node: Node, shape: Shape) -> Linear:
    """The linear node `name` for an arriving signal of `shape`. Raises ConfigError, Unsupported."""
    return _LINEAR[node.type](name, node, shape)


def is_linear(node: Node) -> bool:
    """Whether the node has neither state nor threshold."""
    return node.type in _LINEAR


def numbers(name: str, node: Node, key: str, default: float | None = None) -> NDArray[np.float64]:
    """Parameter `key` as finite float64. Raises ConfigError where it is missing, text, or not finite."""
    value = node.values.get(key)
    if value is None:
        if default is None:
            raise ConfigError(f"{name}: the {node.type} node has no {key}")
        return np.asarray(default, np.float64)
    if isinstance(value, str) or value.dtype.kind not in "fiub":
        raise ConfigError(f"{name}: {key} is text, it should be numbers")
    with np.errstate(all="ignore"):  # what float64 cannot hold is refused below
        result = value.astype(np.float64)
    if not bool(np.all(np.isfinite(result))):
        raise ConfigError(f"{name}: {key} is not finite everywhere (NaN or infinite)")
    return result


def declared_shape(name: str, node: Node, key: str = "shape") -> Shape:
    """A shape written in the file, without leading ones beyond three dimensions."""
    value = numbers(name, node, key).ravel()
    if bool(np.any(value != np.floor(value))) or bool(np.any(value < 0)) or bool(np.any(value > MAX_SIZE)):
        raise ConfigError(f"{name}: {key} {value.tolist()} is no shape")
    return sized(name, tuple(int(v) for v in value))


def sized(name: str, shape: Shape) -> Shape:
    """`shape` if a population can have it: up to three dimensions, at least one element."""
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if not shape:
        return (1,)
    if len(shape) > 3:
        raise Unsupported(name, f"a signal of shape {shape} has more than three dimensions")
    if prod(shape) < 1:
        raise ConfigError(f"{name}: a signal of shape {shape} has no elements")
    if prod(shape) > MAX_SIZE:
        raise Unsupported(name, f"a signal of shape {shape} has more than {MAX_SIZE} elements")
    return shape


def _affine(name: str, node: Node, shape: Shape) -> Linear:
    weight = numbers(name, node, "weight")
    if weight.ndim != 2 or weight.shape[1] != prod(shape):
        raise ConfigError(f"{name}: weight has shape {weight.shape}, what arrives has shape {shape}")
    out = sized(name, (weight.shape[0],))
    return Linear((Dense(array(weight)),), out, _bias(name, node, out))


def _bias(name: str, node: Node, out: Shape) -> Array | None:
    """The node's bias spread over its output, one value per element or per channel."""
    if node.values.get("bias") is None:
        return None
    bias = numbers(name, node, "bias")
    if bias.size not in (1, out[0]):
        raise ConfigError(f"{name}: bias has shape {bias.shape}, the output has shape {out}")
    return array(np.broadcast_to(bias.reshape(-1, *(1,) * (len(out) - 1)), out))


def _scale(name: str, node: Node, shape: Shape) -> Linear:
    factor = _spread(name, "scale", numbers(name, node, "scale"), shape)
    return Linear((Scale(array(factor)),), shape)


def _spread(name: str, key: str, values: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """One number as shape (), anything else as one per element of `shape`."""
    if values.size == 1:
        return values.reshape(())
    if values.size == prod(shape):
        return values.reshape(shape)
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ConfigError(f"{name}: {key} has shape {values.shape}, what arrives has {shape}") from None


def _flatten(name: str, node: Node, shape: Shape) -> Linear:
    start, end = (_axis(name, node, key, default) for key, default in (("start_dim", 1), ("end_dim", -1)))
    rank = len(shape)
    first, last = (min(max(a + rank if a < 0 else a, 0), rank - 1) for a in (start, end))
    if first >= last:
        return Linear((), shape)
    return Linear((), (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def _axis(name: str, node: Node, key: str, default: int) -> int:
    value = numbers(name, node, key, default)
    if value.size != 1 or abs(float(value.flat[0])) > 64:
        raise ConfigError(f"{name}: {key} is {value.tolist()}, it should be one dimension")
    return int(value.flat[0])


def _pass(name: str, node: Node, shape: Shape) -> Linear:
    return Linear((), shape)


def _delay(name: str, node: Node, shape: Shape) -> Linear:
    delays = _spread(name, "delay", numbers(name, node, "delay"), shape)
    if bool(np.any(delays < 0)):
        raise ConfigError(f"{name}: a delay is negative")
    return Linear((), shape, delays=array(delays))


def _conv2d(name: str, node: Node, shape: Shape) -> Linear:
    weight = numbers(name, node, "weight")
    if weight.ndim != 4:
        raise ConfigError(f"{name}: weight has shape {weight.shape}, Conv2d needs four dimensions")
    return _conv(name, node, shape, weight, _pairs)


def _conv1d(name: str, node: Node, shape: Shape) -> Linear:
    weight = numbers(name, node, "weight")
    if weight.ndim != 3:
        raise ConfigError(f"{name}: weight has shape {weight.shape}, Conv1d needs three dimensions")
    return _conv(name, node, shape, weight[:, :, None, :], _in_a_row)


def _pairs(name: str, node: Node, key: str, default: int | Pair) -> Pair:
    """An (vertical, horizontal) pair, given as one number or two."""
    if node.values.get(key) is None and isinstance(default, tuple):
        return default
    value = numbers(name, node, key, None if isinstance(default, tuple) else default).ravel()
    if value.size not in (1, 2) or bool(np.any(value != np.floor(value))) or bool(np.any(abs(value) > 2**20)):
        raise ConfigError(f"{name}: {key} is {value.tolist()}, it should be one or two whole numbers")
    return (int(value[0]), int(value[-1]))


def _in_a_row(name: str, node: Node, key: str, default: int | Pair) -> Pair:
    """The same for one dimension: nothing happens vertically."""
    still = 0 if key == "padding" else 1
    return (still, _pairs(name, node, key, default)[1])


_Reader = Callable[[str, Node, str, "int | Pair"], Pair]


def _conv(name: str, node: Node, shape: Shape, weight: NDArray[np.float64], pairs: _Reader) -> Linear:
    groups = _axis(name, node, "groups", 1)
    if len(shape) != 3:
        raise ConfigError(f"{name}: a convolution needs channels, height and width; what arrives has {shape}")
    if groups < 1 or shape[0] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ConfigError(
            f"{name}: weight of shape {weight.shape} in {groups} group(s) does not fit {shape[0]} input channels"
        )
    _check_input_shape(name, node, shape)
    stride, dilation = pairs(name, node, "stride", 1), pairs(name, node, "dilation", 1)
    padding = node.values.get("padding")
    if isinstance(padding, str):
        weight, dilation, pad = _named_padding(name, padding, weight, stride, dilation)
    else:
        pad = pairs(name, node, "padding", 0)
    _check_window(name, shape, weight.shape[2:], stride, pad, dilation)
    conv = Conv(array(weight), stride, pad, dilation, groups)
    out = _slid(name, conv, shape)
    return Linear((conv,), out, _bias(name, node, out))


def _named_padding(
    name: str, padding: str, weight: NDArray[np.float64], stride: Pair, dilation: Pair
) -> tuple[NDArray[np.float64], Pair, Pair]:
    """Weight, dilation and padding for "valid" or "same" (torch: the odd zero goes to the right and below).

    An uneven border becomes an even one around a kernel with a zero row or column before it.
    """
    if padding == "valid":
        return weight, dilation, (0, 0)
    if padding != "same":
        raise Unsupported(name, f"padding '{padding}'; known are same, valid and numbers")
    if stride != (1, 1):
        raise Unsupported(name, "padding 'same' needs stride 1")
    pads, steps = [0, 0], list(dilation)
    for axis in (0, 1):
        total = dilation[axis] * (weight.shape[2 + axis] - 1)
        if total % 2:
            weight, steps[axis] = _dilated(name, weight, 2 + axis, dilation[axis]), 1
            weight = np.pad(weight, [(1, 0) if k == 2 + axis else (0, 0) for k in range(4)])
        pads[axis] = (total + 1) // 2
    return weight, (steps[0], steps[1]), (pads[0], pads[1])


def _dilated(name: str, weight: NDArray[np.float64], axis: int, dilation: int) -> NDArray[np.float64]:
    """The kernel with its dilation written out as zeros."""
    if dilation == 1:
        return weight
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    if prod(shape) > _MAX_KERNEL:
        raise Unsupported(name, f"padding 'same' makes of this dilation a kernel of shape {tuple(shape)}")
    out = np.zeros(shape)
    index: list[Any] = [slice(None)] * len(shape)
    index[axis] = slice(None, None, dilation)
    out[tuple(index)] = weight
    return out


def _check_input_shape(name: str, node: Node, shape: Shape) -> None:
    """NIR's input_shape is what was seen when the file was written: height and width, or the length."""
    if node.values.get("input_shape") is None:
        return
    declared = tuple(int(v) for v in numbers(name, node, "input_shape").ravel())
    if declared and prod(declared) > 0 and declared != shape[3 - len(declared) :]:
        raise ConfigError(f"{name}: input_shape is {declared}, what arrives has shape {shape}")


def _check_window(
    name: str, shape: Shape, kernel: Shape, stride: Pair, padding: Pair, dilation: Pair = (1, 1)
) -> None:
    """Raises unless a window of `kernel` can slide over a signal of `shape` in reasonable memory and time."""
    if min(*kernel, *stride, *dilation) < 1 or min(padding) < 0:
        raise ConfigError(
            f"{name}: kernel {tuple(kernel)}, stride {stride}, dilation {dilation} or padding {padding} "
            "is out of range"
        )
    padded = shape[0] * (shape[1] + 2 * padding[0]) * (shape[2] + 2 * padding[1])
    if prod(kernel) > _MAX_WINDOW or padded > MAX_SIZE:
        raise Unsupported(
            name, f"a window of {tuple(kernel)} over {shape} with padding {padding} is too large"
        )


def _slid(name: str, operator: Conv | Pool, shape: Shape) -> Shape:
    """The operator's output shape; what is wrong with it is said with the node's name."""
    try:
        out = operator.shape(shape)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    if prod(out) == 0:
        raise ConfigError(
            f"{name}: what arrives has shape {shape}, smaller than the window that slides over it"
        )
    return sized(name, out)


def _pool(name: str, node: Node, shape: Shape) -> Linear:
    if len(shape) != 3:
        raise ConfigError(f"{name}: pooling needs channels, height and width; what arrives has shape {shape}")
    kernel = _pairs(name, node, "kernel_size", 0)
    stride, padding = _pairs(name, node, "stride", kernel), _pairs(name, node, "padding", 0)
    _check_window(name, shape, kernel, stride, padding)
    pool = Pool(kernel, stride, padding, "sum" if node.type == "SumPool2d" else "average")
    return Linear((pool,), _slid(name, pool, shape))


_LINEAR: Final[Mapping[str, Callable[[str, Node, Shape], Linear]]] = {
    "Affine": _affine,
    "Linear": _affine,
    "Scale": _scale,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Delay": _delay,
    "Output": _pass,
    PASS: _pass,
}
