"""Reports: the messages of workers to the application.

A report is one line of JSON:

    {"report": "Parked", "lost": 0, "count": 20, "reason": "the platform is unreachable"}

`report` is the name of a class below, `lost` the number of reports of the same worker that could
not be written since its previous one, and the rest are the fields of the class.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, get_args

from dataart_mp.errors import short_repr


@dataclass(frozen=True, slots=True)
class Failed:
    """Records will not be delivered.

    Attributes:
        reason: As in `Failure.reason`.
        is_identity: Whether the record is an identity; else they are actions.
        count: Number of records.
        records: The records, one per line; None if the client has no `on_failure`.
        status: HTTP status of the last response; None if there was none.
        answer: First bytes of the last response as text, or the text of the exception.
        attempts: Number of attempts.
    """

    reason: str
    is_identity: bool
    count: int
    records: str | None
    status: int | None
    answer: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """Delivery fails.

    Attributes:
        status: HTTP status of the response; None if there was none.
        answer: First bytes of the response as text, or the text of the exception.
        delay: Seconds until the next attempt; None if the batch was parked or abandoned.
    """

    status: int | None
    answer: str
    delay: float | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The platform responds again after an outage."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Records wait on disk for the end of an outage.

    Attributes:
        count: Number of records.
        reason: Why they could not be delivered.
    """

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem for the owner of the application, by which no record is lost.

    Attributes:
        text: The problem in words.
    """

    text: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """Records that failed permanently could not be written as dead letters.

    Attributes:
        count: Number of records.
        reason: Why they could not be written.
    """

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Removed:
    """Old dead letters were removed to stay below `spool_max_bytes`.

    Attributes:
        batches: Number of batches that were removed.
    """

    batches: int


@dataclass(frozen=True, slots=True)
class FewThreads:
    """A worker cannot start a thread, and continues with those that it has.

    Attributes:
        threads: Number of helper threads that it has. With 0, the thread that sends does all that
            may wait, too; or the main thread sends.
        wanted: Number of helper threads that it may need.
        reason: Text of the exception.
    """

    threads: int
    wanted: int
    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The worker ends because of an unexpected exception.

    Attributes:
        traceback: The exception and its traceback.
    """

    traceback: str


Report = Failed | Retrying | Recovered | Parked | Trouble | NotKept | Removed | FewThreads | Crashed

_KINDS: Final[dict[str, type[Report]]] = {kind.__name__: kind for kind in get_args(Report)}


class UnreadableReportError(ValueError):
    """A line is not a report; the message says why. It may be torn, or from another version."""


def encode(report: Report, lost: int) -> bytes:
    """Return a report as a line of JSON, without line breaks.

    Args:
        report: The report.
        lost: Number of reports that could not be written since the previous one.
    """
    return json.dumps({"report": type(report).__name__, "lost": lost, **asdict(report)}).encode()


def decode(line: bytes) -> tuple[Report, int]:
    """Return the report and the number of lost reports from a line.

    Fields that this version does not know are ignored.

    Raises:
        UnreadableReportError: The line is not JSON, its kind is unknown, or a field is missing or
            has another type.
    """
    try:
        message = json.loads(line)
    except ValueError:
        raise UnreadableReportError("torn, because its worker died") from None
    if not isinstance(message, dict):
        raise UnreadableReportError("not a JSON object")
    kind = _KINDS.get(str(message.get("report")))
    if kind is None:
        raise UnreadableReportError(f"unknown kind {short_repr(message.get('report'))}")
    types = {field.name: field.type for field in fields(kind)}
    values = {name: _field(message, kind, name, type_) for name, type_ in types.items()}
    return kind(**values), _field(message, kind, "lost", int)


def _field(message: dict[str, Any], kind: type[Report], name: str, wanted: Any) -> Any:
    if name not in message:
        raise UnreadableReportError(f"{kind.__name__} without {name!r}")
    value = message[name]
    if not isinstance(value, wanted):
        raise UnreadableReportError(f"{kind.__name__} with {name}={short_repr(value)}")
    return value
