"""What torch operators do in a step: how many there are, and how many bytes they read and write.

Counted operator by operator while they run, from the sizes of their tensors; views cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_FREE = {"aten::view", "aten::slice", "aten::select", "aten::as_strided", "aten::detach", "aten::permute"}
_FREE |= {
    "aten::expand",
    "aten::unsqueeze",
    "aten::t",
    "aten::transpose",
    "aten::_unsafe_view",
    "aten::alias",
}
_FREE |= {"aten::empty", "aten::empty_like", "aten::unbind", "aten::empty_strided", "aten::lift_fresh"}


class Traffic(TorchDispatchMode):
    """Counts what runs inside of `with`. operators: that compute or copy · moved: bytes they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = 0
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.name().partition(".")[0] not in _FREE:
            self.operators += 1
            self.moved += sum(t.nbytes for t in _tensors((args, dict(kwargs or {}), result)))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
