"""A data set: samples that any process can open, each with the class that is right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

from nrt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sample:
    """One recording of a data set.

    source: its path or source URI; whoever can read the same files can open it
    label:  the class that is right, an index into the data set's `classes`, which is also the number of the output
            neuron that should win; None where nobody knows
    name:   what it is called in tables; unique in its data set, and the same wherever the data set lies
    """

    source: str
    label: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Recordings and what they show. classes: names of the labels, by their number.

    Raises ConfigError for one without samples, with two samples of one name, or a label outside `classes`.
    """

    name: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples:
            raise ConfigError(f"data set {self.name}: there is no recording in it")
        name, count = Counter(sample.name for sample in self.samples).most_common(1)[0]
        if count > 1:
            raise ConfigError(f"data set {self.name}: {count} recordings are called {name}")
        for sample in self.samples:
            if sample.label is not None and not 0 <= sample.label < len(self.classes):
                raise ConfigError(
                    f"data set {self.name}: {sample.name} has label {sample.label}, "
                    f"there are classes 0 to {len(self.classes) - 1}"
                )

    def __len__(self) -> int:
        return len(self.samples)

    def first(self, count: int) -> Self:
        """The first `count` samples of each class in turn, until there are `count` in all; order kept.

        A folder lies class by class: its first recordings alone would all show one class.
        """
        turns: Counter[int | None] = Counter()
        ranked: list[tuple[int, int]] = []
        for index, sample in enumerate(self.samples):
            ranked.append((turns[sample.label], index))
            turns[sample.label] += 1
        chosen = sorted(index for _, index in sorted(ranked)[:count])
        return replace(self, samples=tuple(self.samples[index] for index in chosen))
