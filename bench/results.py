"""Stored measurements: <name>.json, one per command, in `.cache/bench`.

Those that bench/README.md describes are in `bench/results`.
"""

import json
from pathlib import Path
from typing import Final

from dataart_mp.cli.bench.measurement import Measurement

DIRECTORY: Final = Path(__file__).parents[1] / ".cache" / "bench"


def save(measurement: Measurement, directory: Path) -> Path:
    """Store a measurement, in place of an older one with its name, and return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{measurement.name}.json"
    file.write_text(json.dumps(measurement.as_json(), ensure_ascii=False) + "\n")
    return file


def load(directory: Path) -> dict[str, Measurement]:
    """Return all measurements in a directory, by name."""
    found = sorted(directory.glob("*.json"))
    runs = [Measurement.from_json(json.loads(file.read_text())) for file in found]
    return {run.name: run for run in runs}
