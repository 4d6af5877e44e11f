"""The order of populations: along the signal, with the links that close a loop found and set aside."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nrt.network.graph import natural


@dataclass(frozen=True, slots=True)
class Link:
    """Signals go from `source` to `target` after `delay` steps."""

    source: str
    target: str
    delay: int


def closing(names: Sequence[str], links: Sequence[Link]) -> set[tuple[str, str]]:
    """The undelayed links, as (source, target), that lead back to where the signal came from.

    Depth first from the first population that nothing feeds, successors in natural order of their names,
    so the answer does not depend on the order of edges in a file.
    """
    successors = _successors(names, [k for k in links if k.delay == 0])
    found: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in _breadth_first(names, links):
        if root in done:
            continue
        under_way: dict[str, Iterator[str]] = {root: iter(successors[root])}
        while under_way:
            name = next(reversed(under_way))
            successor = next(under_way[name], None)
            if successor is None:
                done.add(name)
                del under_way[name]
            elif successor in under_way:
                found.add((name, successor))
            elif successor not in done:
                under_way[successor] = iter(successors[successor])
    return found


def ordered(names: Sequence[str], links: Sequence[Link], back: set[tuple[str, str]]) -> list[str]:
    """`names` so that undelayed links not in `back` run forward; otherwise as far from the input as they are."""
    forward = [k for k in links if k.delay == 0 and (k.source, k.target) not in back]
    successors = _successors(names, forward)
    rank = {name: k for k, name in enumerate(_breadth_first(names, links))}
    missing = dict.fromkeys(names, 0)
    for targets in successors.values():
        for target in targets:
            missing[target] += 1
    ready = [(rank[n], n) for n in names if not missing[n]]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for target in successors[name]:
            missing[target] -= 1
            if not missing[target]:
                heapq.heappush(ready, (rank[target], target))
    return order


def _successors(names: Sequence[str], links: Sequence[Link]) -> Mapping[str, list[str]]:
    found: dict[str, set[str]] = {name: set() for name in names}
    for link in links:
        found[link.source].add(link.target)
    return {name: sorted(targets, key=natural) for name, targets in found.items()}


def _breadth_first(names: Sequence[str], links: Sequence[Link]) -> list[str]:
    """Names by distance from those that nothing feeds; loops that nothing reaches come last."""
    successors = _successors(names, links)
    fed = {link.target for link in links}
    order = dict.fromkeys(n for n in names if n not in fed)
    queue = deque(order)
    for start in ("", *names):
        if start and start not in order:
            order[start] = None
            queue.append(start)
        while queue:
            for successor in successors[queue.popleft()]:
                if successor not in order:
                    order[successor] = None
                    queue.append(successor)
    return list(order)
