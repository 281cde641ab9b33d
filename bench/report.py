"""Charts of the measurements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import emit, floor, footprint, ship
from dataart_mp.cli.bench.measurement import Measurement

mpl.use("Agg")

Runs = dict[str, Measurement]
_SIZE: Final = (8.0, 4.5)
_DPI: Final = 120
_OURS: Final = "tab:blue"
_FLOOR: Final = "tab:gray"
_CEILING: Final = "tab:green"
_FAULT: Final = "tab:red"


def draw(runs: Runs, directory: Path) -> list[Path]:
    """Draw all charts whose measurements exist, and return their files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (needed, chart) in _CHARTS.items():
        if needed not in runs:
            continue
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        chart(axes, runs[needed])
        file = directory / f"{name}.png"
        figure.savefig(file, dpi=_DPI)
        files.append(file)
    return files


def _latency(axes: Axes, run: Measurement) -> None:
    """Draw the distribution of each sample as a thin line, so that common features stand out."""
    for figure, color, label in (
        ("latency", _OURS, "emit_action"),
        ("control", _FLOOR, "orjson.dumps, in turn with it"),
    ):
        for number, sample in enumerate(run.samples[emit.TIMED]):
            parts = [float(part) for part in sample[figure]]
            beyond = [max(1 - part, 1e-6) for part in parts]
            axes.plot(
                list(sample[figure].values()),
                beyond,
                color=color,
                alpha=0.5,
                label=None if number else label,
            )
    axes.set(
        xscale="log", yscale="log", xlabel="µs", ylabel="fraction of the calls that take longer"
    )
    axes.axvline(10, color=_FAULT, linestyle=":", label="target of p99")
    axes.axhline(0.01, color=_FAULT, linestyle=":")
    axes.set_title("A call of emit_action")
    axes.legend()


def _throughput(axes: Axes, run: Measurement) -> None:
    """Draw events per second by batch size, with the lower bound and the sink's limit."""
    batches = [batch for batch in ship.BATCHES if ship.case(batch) in run.samples]
    _line(axes, run, batches, ship.case, _OURS, "dataart_mp, 2 worker processes")
    both = ship.CLIENT_BATCHES
    _line(axes, run, both, lambda n: floor.case(floor.RAW, n), _FLOOR, "a raw socket")
    _line(axes, run, both, ship.CEILING.format, _CEILING, "the sink's limit: 2 raw sockets")
    axes.axhline(
        run.median(ship.BARE_LOOPS, "events_per_second"),
        color=_FLOOR,
        linestyle=":",
        label="the slower of two bare loops",
    )
    axes.set(xscale="log", yscale="log", xlabel="events per request", ylabel="events/s")
    axes.set_title("End to end, one application process")
    axes.legend()


def _workers(axes: Axes, run: Measurement) -> None:
    """Draw events per second by the number of worker processes."""
    for batch, color in zip(ship.CLIENT_BATCHES, (_OURS, "tab:orange"), strict=True):
        found = [n for n in ship.PROCESSES if ship.case(batch, n) in run.samples]
        label = f"dataart_mp, batch {batch}"
        _line(axes, run, found, lambda n, b=batch: ship.case(b, n), color, label)
        for case, style, what in (
            (floor.case(floor.RAW, batch), ":", "a raw socket"),
            (ship.CEILING.format(batch), "--", "the sink's limit"),
        ):
            rate = run.median(case, "events_per_second")
            axes.axhline(rate, color=color, linestyle=style, label=f"{what}, {batch} per request")
    axes.set(yscale="log", xlabel="worker processes", ylabel="events/s", xticks=ship.PROCESSES)
    axes.set_title("End to end, one application process")
    axes.legend(fontsize="small")


def _line(
    axes: Axes,
    run: Measurement,
    places: Any,
    case: Callable[..., str],
    color: str,
    label: str,
) -> None:
    """Draw medians, with bars from the smallest to the largest sample."""
    rates = [run.values(case(place), "events_per_second") for place in places]
    middle = [run.median(case(place), "events_per_second") for place in places]
    below = [at - min(all_of) for at, all_of in zip(middle, rates, strict=True)]
    above = [max(all_of) - at for at, all_of in zip(middle, rates, strict=True)]
    axes.errorbar(
        list(places), middle, yerr=[below, above], color=color, label=label, marker="o", capsize=3
    )


def _memory(axes: Axes, run: Measurement) -> None:
    """Draw the memory of all processes over time, one sample per case."""
    for case, color in zip(run.samples, (_OURS, "tab:orange"), strict=True):
        points = run.samples[case][-1]["points"]
        moments = [point[0] for point in points]
        axes.plot(moments, [sum(point[1:]) for point in points], color=color, label=f"{case}: all")
        axes.plot(
            moments,
            [point[1] for point in points],
            color=color,
            linestyle=":",
            label="the application",
        )
    axes.axhline(
        run.median(footprint.case(20), "bare_mb"), color=_FLOOR, label="interpreter with orjson"
    )
    axes.set(xlabel="s", ylabel="MB (proportional set size)", ylim=(0, None))
    axes.set_title(f"Memory while {run.configuration['many']:,} events are shipped")
    axes.legend(fontsize="small")


def _faults(axes: Axes, run: Measurement) -> None:
    """Draw the counters over time."""
    line = run.configuration["timeline"]
    moments, accepted, delivered, arrived = zip(*line["points"], strict=True)
    axes.plot(moments, accepted, color=_FLOOR, label="accepted")
    axes.plot(moments, delivered, color=_OURS, label="delivered, according to the client")
    axes.plot(
        moments, arrived, color=_CEILING, linestyle=":", label="arrived, according to the sink"
    )
    for moment, text in line["faults"]:
        axes.axvline(moment, color=_FAULT, linestyle=":")
        axes.annotate(text, (moment, 0), rotation=90, color=_FAULT, fontsize="small", ha="right")
    axes.set(xlabel="s", ylabel="events")
    axes.set_title("During an outage and the death of a worker")
    axes.legend()


_CHARTS: Final[dict[str, tuple[str, Callable[[Axes, Measurement], None]]]] = {
    "emit-latency": ("emit", _latency),
    "ship-by-batch": ("ship", _throughput),
    "ship-by-workers": ("ship", _workers),
    "ship-through-faults": ("ship", _faults),
    "memory-over-time": ("memory", _memory),
}
