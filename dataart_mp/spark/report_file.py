"""The report of a job, as a file of JSON that its driver writes.

{"outcome": "committed", "source": "orders", "micro_batch": null, "unknown_tasks": 0,
 "rows": 336776, "delivered": 336776, …}
"""

import json
from pathlib import PurePosixPath
from typing import Literal

from dataart_mp.ship import Report

Outcome = Literal["committed", "aborted"]


def write_report(
    uri: str,
    report: Report,
    source: str,
    outcome: Outcome,
    *,
    micro_batch: int | None = None,
    unknown_tasks: int | None = 0,
) -> None:
    """Write a report to a file, which is replaced if it exists.

    Args:
        uri: URI for pyarrow.fs, or an absolute path. The number of the micro-batch, if there is
            one, is added to the name: `report-17.json`.
        report: The sum of the reports of the tasks.
        source: The name of what was shipped.
        outcome: Whether all tasks have ended, or the job has failed.
        micro_batch: Number of the micro-batch of a stream; None: it is not a stream.
        unknown_tasks: Number of tasks without a report: what they sent, if anything, is not known.
            None: the number is not known either.

    Raises:
        OSError: The file cannot be written.
        ValueError: The URI is of a file system that pyarrow does not have.
    """
    from pyarrow.fs import FileSystem

    content = {
        "outcome": outcome,
        "source": source,
        "micro_batch": micro_batch,
        "unknown_tasks": unknown_tasks,
        **report.as_dict(),
    }
    system, path = FileSystem.from_uri(uri)
    if micro_batch is not None:
        file = PurePosixPath(path)
        path = str(file.with_name(f"{file.stem}-{micro_batch}{file.suffix}"))
    with system.open_output_stream(path) as stream:
        stream.write(json.dumps(content).encode())
