"""The options of a write, which Spark passes as text.

    .options(user_key_column="customer", batch_size=400)  ─►  Options(user_key_column="customer", …)

Spark ignores the case of the names, and may pass them in lower case. So the names of columns are in
the values of options.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from dataart_mp.config.checks import whole
from dataart_mp.config.environment import integer, number
from dataart_mp.config.setting import config_error, secret_error
from dataart_mp.errors import ConfigError
from dataart_mp.ship.settings import MOST_IN_FLIGHT
from dataart_mp.table.column_map import MetadataColumn
from dataart_mp.table.metadata_text import read_metadata, read_names
from dataart_mp.table.time_format import zone_of

OnProblem = Literal["fail", "skip"]

_SPARK: Final = frozenset({"checkpointlocation", "queryname"})
"""Options that Spark itself reads, and passes on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a write, read and checked one by one. What is None was not given.

    Attributes:
        base_url: URL of the platform.
        source: The name of what is shipped, from which idempotency keys are made. The same name
            and the same rows have the same keys.
        key: The key of all events.
        key_column: The column of the events' keys.
        user_key_column: The column of the users' keys.
        anonymous_column: The column that says whether the user is anonymous.
        timestamp_column: The column of the times at which the events happened.
        metadata: The columns of the metadata; None: all that are not used otherwise.
        metadata_json_column: The column that contains all of the metadata, as text of a JSON
            object.
        timezone: The zone of timestamps that have none.
        batch_size: Number of events in a request.
        in_flight: Requests of a task in flight at the same time.
        retries: Attempts after the first one.
        backoff: Seconds that each attempt adds to the delay, or how delays grow: `linear` or
            `exponential`.
        read_timeout: Seconds to wait for a whole response.
        compression: Compression of request bodies: `gzip` or `zstd`.
        rate_limit: Requests per second over all tasks.
        tasks: Tasks that run at the same time and share the rate limit.
        sent_at: The outer timestamp of all requests; None: see `job_of`.
        event_id: The name under which each event gets a deterministic id in its metadata.
        event_id_columns: The columns whose values decide about the id; none: the whole event does.
        on_bad_row: What to do with a row that cannot be sent: `fail` or `skip`.
        on_rejected: What to do with an event that the platform rejects: `fail` or `skip`.
        checkpoint: URI of a directory in which tasks note what was delivered.
        report: URI of a file to which the report is written as JSON.
    """

    base_url: str | None = None
    source: str | None = None
    key: str | None = None
    key_column: str | None = None
    user_key_column: str | None = None
    anonymous_column: str | None = None
    timestamp_column: str | None = None
    metadata: tuple[MetadataColumn, ...] | None = None
    metadata_json_column: str | None = None
    timezone: str | None = None
    batch_size: int = 400
    in_flight: int = 4
    retries: int | None = None
    backoff: float | str | None = None
    read_timeout: float | None = None
    compression: str | None = None
    rate_limit: float | None = None
    tasks: int | None = None
    sent_at: datetime | None = None
    event_id: str | None = None
    event_id_columns: tuple[str, ...] = ()
    on_bad_row: OnProblem = "fail"
    on_rejected: OnProblem = "skip"
    checkpoint: str | None = None
    report: str | None = None

    def __post_init__(self) -> None:
        if self.key is not None and self.key_column is not None:
            problem = "and key_column are mutually exclusive; leave one out"
            raise config_error("key", self.key, problem)


def read_options(given: Mapping[str, object]) -> Options:
    """Read the options of a write.

    Args:
        given: The values by name, as text; a call of a function may also pass numbers, and None
            for an option that is not set.

    Raises:
        ConfigError: An option is unknown, refused or invalid; the message says what to do.
    """
    texts = {name.lower(): str(value) for name, value in given.items() if value is not None}
    _refuse(texts)
    read = {name: _READERS[name](name, text) for name, text in texts.items() if name in _READERS}
    return Options(**read)


def _refuse(names: Mapping[str, str]) -> None:
    """Refuse options that cannot be set."""
    if "api_key" in names:
        raise secret_error(
            "api_key",
            "is not an option, because options appear in the plan of a query and in Spark's UI; "
            "set DATAART_API_KEY for the driver, or call dataart_mp.spark.register(spark, config)",
        )
    if "path" in names:
        problem = "the platform has no paths; call save() or start() without one"
        raise config_error("path", names["path"], problem)
    for name in names:
        if name not in _READERS and name not in _SPARK:
            near = difflib.get_close_matches(name, _READERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_READERS)}"
            raise ConfigError(f"{name}: is not an option; {hint}", name)


def _text(name: str, text: str) -> str:
    if not text.strip():
        raise config_error(name, text, "must not be empty; leave it out for the default")
    return text


def _columns(name: str, text: str) -> tuple[MetadataColumn, ...]:
    try:
        return read_metadata(text)
    except ValueError as error:
        raise config_error(name, text, f"must be columns separated by commas: {error}") from None


def _names(name: str, text: str) -> tuple[str, ...]:
    try:
        return read_names(text)
    except ValueError as error:
        raise config_error(name, text, f"must be columns separated by commas: {error}") from None


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise config_error(name, text, "must be a time such as 2026-11-28T10:00:00Z")
    return moment


def _zone(name: str, text: str) -> str:
    try:
        zone_of(text)
    except ValueError:
        raise config_error(name, text, "is not a time zone; an example is Europe/Vienna") from None
    return text


def _whole(least: int, most: int) -> Callable[[str, str], int]:
    check = whole(least, most)

    def read(name: str, text: str) -> int:
        try:
            count = integer(text)
        except ValueError as error:
            raise config_error(name, text, str(error)) from None
        return check(name, count)

    return read


def _positive(unit: str) -> Callable[[str, str], float]:
    """Make a reader of a number above zero.

    Args:
        unit: What the number counts, for messages.
    """

    def read(name: str, text: str) -> float:
        try:
            value = number(text)
        except ValueError:
            raise config_error(name, text, f"must be a number of {unit}, such as 2.5") from None
        if not 0 < value < math.inf:
            raise config_error(name, text, f"must be more than zero, in {unit}")
        return value

    return read


def _backoff(name: str, text: str) -> float | str:
    if text in {"linear", "exponential"}:
        return text
    try:
        return _positive("seconds")(name, text)
    except ConfigError:
        problem = "must be linear, exponential, or a number of seconds above zero, such as 2.5"
        raise config_error(name, text, problem) from None


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise config_error(name, text, f"must be {' or '.join(choices)}")
        return text

    return read


def _uri(name: str, text: str) -> str:
    """Check that a text is a URI or an absolute path; pyarrow reports unknown file systems."""
    if "://" not in text and not text.startswith("/"):
        problem = "must be a URI or an absolute path, such as s3://bucket/path or file:///path"
        raise config_error(name, text, problem)
    return text


_READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "base_url": _text,
    "source": _text,
    "key": _text,
    "key_column": _text,
    "user_key_column": _text,
    "anonymous_column": _text,
    "timestamp_column": _text,
    "metadata": _columns,
    "metadata_json_column": _text,
    "timezone": _zone,
    "batch_size": _whole(1, 1_000_000),
    "in_flight": _whole(1, MOST_IN_FLIGHT),
    "retries": _whole(0, 1_000_000),
    "backoff": _backoff,
    "read_timeout": _positive("seconds"),
    "compression": _one_of("gzip", "zstd"),
    "rate_limit": _positive("requests per second"),
    "tasks": _whole(1, 1_000_000),
    "sent_at": _moment,
    "event_id": _text,
    "event_id_columns": _names,
    "on_bad_row": _one_of("fail", "skip"),
    "on_rejected": _one_of("fail", "skip"),
    "checkpoint": _uri,
    "report": _uri,
}
"""What reads the text of each option; the fields of `Options`, in their order."""
