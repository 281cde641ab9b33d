"""Several cases, each measured several times in turn, and what can be said of them.

    A B C  A B C  A B C  …  ─► samples of A, of B, of C ─► medians, spreads, ratios

In turn: what disturbs the machine for a while then disturbs all of them alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Final, NamedTuple, Self

from dataart_mp.cli.machine import machine, moment

Sample = Mapping[str, Any]
"""What one run of one case gave: figures by name, and whatever else is to be kept."""

_LEAST_FOR_SPREAD: Final = 2


class Column(NamedTuple):
    """A figure as a table shows it.

    Attributes:
        title: Stands above it.
        figure: Its name in a sample.
        digits: Behind the point.
    """

    title: str
    figure: str
    digits: int = 0


@dataclass
class Measurement:
    """The samples of one run of a measuring program.

    Attributes:
        name: What was measured.
        configuration: With which settings.
        samples: By case, in the order taken.
        machine: Where.
        start: When, and how busy the machine was.
        end: The same; None: it is not over.
    """

    name: str
    configuration: dict[str, Any]
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)
    start: dict[str, Any] = field(default_factory=moment)
    end: dict[str, Any] | None = None

    def take(
        self,
        cases: Mapping[str, Callable[[], Sample]],
        repetitions: int,
        tell: Callable[[str], object] = str,
    ) -> Self:
        """Measure all cases, in turn, so many times.

        Args:
            cases: Each takes one sample, in a fresh process if it matters.
            repetitions: How many samples of each.
            tell: Called with a line before each turn.
        """
        for turn in range(repetitions):
            tell(f"{self.name}: turn {turn + 1} of {repetitions}, {len(cases)} cases")
            for case, sample in cases.items():
                self.samples.setdefault(case, []).append(sample())
        self.end = moment()
        return self

    def values(self, case: str, figure: str) -> list[float]:
        """A figure in all samples of a case that have it."""
        return [float(one[figure]) for one in self.samples[case] if one.get(figure) is not None]

    def median(self, case: str, figure: str) -> float:
        """The median of a figure."""
        return median(self.values(case, figure))

    def ratio(self, case: str, figure: str, other: str, other_figure: str | None = None) -> float:
        """A figure's median to that of another case."""
        return self.median(case, figure) / self.median(other, other_figure or figure)

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The same again from what `as_json` gave."""
        return cls(**data)

    def table(self, columns: Sequence[Column], cases: Iterable[str] | None = None) -> str:
        """Medians, each with half the width of the middle half of its samples, in percent."""
        names = list(self.samples if cases is None else cases)
        width = max(map(len, names))
        cells = [[self._cell(name, column) for column in columns] for name in names]
        widths = [
            max(len(column.title), *(len(row[number]) for row in cells))
            for number, column in enumerate(columns)
        ]
        head = [f"{column.title:>{wide}}" for column, wide in zip(columns, widths, strict=True)]
        lines = ["  ".join([" " * width, *head])]
        for name, row in zip(names, cells, strict=True):
            padded = [f"{cell:>{wide}}" for cell, wide in zip(row, widths, strict=True)]
            lines.append("  ".join([f"{name:{width}}", *padded]))
        return "\n".join(lines)

    def _cell(self, case: str, column: Column) -> str:
        values = self.values(case, column.figure)
        if not values:
            return ""
        return f"{median(values):,.{column.digits}f} {_spread(values):>5}"

    def __str__(self) -> str:
        """What it was taken on, in a line."""
        versions = ", ".join(f"{name} {text}" for name, text in self.machine["versions"].items())
        return (
            f"{self.start['time']}, {self.machine['cpus']} CPUs ({self.machine['cpu']}), "
            f"Python {self.machine['python']}, {versions}; "
            f"load {self.start['load_average'][0]} at the start, "
            f"{(self.end or self.start)['load_average'][0]} at the end"
        )


def _spread(values: list[float]) -> str:
    middle = median(values)
    if len(values) < _LEAST_FOR_SPREAD or not middle:
        return ""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"±{abs((high - low) / 2 / middle):.0%}"
