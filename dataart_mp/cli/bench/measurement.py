"""Several cases, each measured several times, and their medians.

    A B C  A B C  A B C  …  ─► samples of A, of B, of C ─► medians, spreads, ratios

The cases take turns, so that a temporary disturbance of the machine affects all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Final, NamedTuple, Self

from dataart_mp.cli.bench.machine import machine, moment

Sample = Mapping[str, Any]
"""The result of one run of one case: figures by name, and other data to keep."""

_MIN_FOR_SPREAD: Final = 2


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: The heading.
        figure: The name of the figure in a sample.
        digits: Number of digits after the decimal point.
    """

    title: str
    figure: str
    digits: int = 0


@dataclass
class Measurement:
    """The samples of one measurement.

    Attributes:
        name: The name of the measurement.
        configuration: The settings that were used.
        samples: The samples by case, in the order they were taken.
        machine: The machine; see `machine`.
        start: Time and load average at the start; see `moment`.
        end: Time and load average at the end; None: it has not ended.
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
        report: Callable[[str], object] = str,
    ) -> Self:
        """Measure all cases in turn.

        Args:
            cases: A function for each case that takes one sample.
            repetitions: Number of samples of each case.
            report: Called with a line of text before each turn.
        """
        for turn in range(repetitions):
            report(f"{self.name}: turn {turn + 1} of {repetitions}, {len(cases)} cases")
            for case, sample in cases.items():
                self.samples.setdefault(case, []).append(sample())
        self.end = moment()
        return self

    def values(self, case: str, figure: str) -> list[float]:
        """Return a figure from all samples of a case that contain it."""
        return [float(one[figure]) for one in self.samples[case] if one.get(figure) is not None]

    def median(self, case: str, figure: str) -> float:
        """Return the median of a figure."""
        return median(self.values(case, figure))

    def ratio(self, case: str, figure: str, other: str, other_figure: str | None = None) -> float:
        """Return the median of a figure, divided by that of another case."""
        return self.median(case, figure) / self.median(other, other_figure or figure)

    def as_json(self) -> dict[str, Any]:
        """Return the measurement as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make a measurement from the result of `as_json`."""
        return cls(**data)

    def table(self, columns: Sequence[Column], cases: Iterable[str] | None = None) -> str:
        """Format medians, each with half the interquartile range of its samples in percent."""
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
        """The time, the machine and the versions, on one line."""
        versions = ", ".join(f"{name} {text}" for name, text in self.machine["versions"].items())
        return (
            f"{self.start['time']}, {self.machine['cpus']} CPUs ({self.machine['cpu']}), "
            f"Python {self.machine['python']}, {versions}; "
            f"load {self.start['load_average'][0]} at the start, "
            f"{(self.end or self.start)['load_average'][0]} at the end"
        )


def _spread(values: list[float]) -> str:
    middle = median(values)
    if len(values) < _MIN_FOR_SPREAD or not middle:
        return ""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"±{abs((high - low) / 2 / middle):.0%}"
