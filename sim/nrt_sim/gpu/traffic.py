"""What torch operators do in a step: how many there are, and how many bytes they read and write.

Counted operator by operator while they run, from the sizes of their tensors; views cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_VIEWS: Final = (
    "view slice select as_strided detach permute expand unsqueeze t transpose _unsafe_view alias unbind"
)
_ROOM: Final = "empty empty_like empty_strided lift_fresh"
_FREE: Final = frozenset(f"aten::{name}" for name in f"{_VIEWS} {_ROOM}".split())
"""Operators that look at memory in another way, or reserve it."""


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is not typed
    """Counts what runs inside of `with`. operators: that compute or copy · moved: bytes they read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
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
