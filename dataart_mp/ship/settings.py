"""The settings of a job: which columns become what, and how their events are delivered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, get_args

from dataart_mp.config import ClientConfig, hooks
from dataart_mp.config.checks import one_of, whole
from dataart_mp.config.setting import config_error
from dataart_mp.table.arguments import Choice, Metadata
from dataart_mp.table.terms import Terms

OnBadRow = Literal["fail", "skip"]
OnRejected = Literal["fail", "skip"]

MOST_IN_FLIGHT: Final = 64
"""Requests of a part that may be in flight at the same time."""

_HOOKS: Final = {"before_send": None, "sample_rate": 1.0, "default_metadata": None}
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~@=+-]*")
_LONGEST_SOURCE: Final = 100
_LONGEST_PART: Final = 60


@dataclass(frozen=True, kw_only=True)
class ShipSettings:
    """The settings of a job that ships a table in parts; the same for all of them.

    They survive pickling, with the API key, so that a driver can pass them to its executors. `repr`
    shows no secrets. In the arguments that choose columns, a string is the name of a column, and
    `dataart_mp.lit(VALUE)` is a value that is the same in all rows, as in `Client.emit_table`.

    A job that is run again repeats the same requests, with the same keys, if its `source`, its
    `sent_at`, its `batch_size`, its columns, and the rows of each part, in their order, are the
    same.

    Attributes:
        config: The platform, the API key, and how requests are sent and retried. Used are
            `api_key`, `api_key_file`, `base_url`, `http`, `pool_factory`, `flush_num_retries`,
            `flush_backoff_ratio`, `backoff`, `backoff_jitter`, `delivery_timeout`,
            `max_request_bytes` and `event_id`. Hooks are refused: what they return may differ when
            a part is shipped again. `on_failure` is not called: the report has the rejected events.
        source: The name of the job, with which all keys begin: 1 to 100 letters, digits or any of
            `._~@=+-`. Another name makes other keys, so the platform counts all events again.
        key: Name of the action; None is the column `key`.
        user_key: Key of the user; None is the column `user_key`.
        timestamp: Time of the action; None is the column `timestamp`. It is required: the present
            time would be another one whenever a part is shipped again.
        is_anonymous_user: Whether `user_key` stands for an unknown user; None is the column of that
            name or, if there is none, False.
        metadata: A list of columns, or a dict of columns and constants by their names in the event;
            a list may also hold `MetadataColumn(name, column, kind)`, which converts values. None
            is all other columns.
        metadata_json_column: The column that holds all of the metadata as JSON text of an object,
            or null; it excludes `metadata`. The text is sent as it is.
        timezone: Zone of timestamps that have none, such as "UTC". None: they are refused.
        batch_size: Number of actions in a request, as far as `config.max_request_bytes` allows.
        in_flight: Requests of a part that are in flight at the same time at most.
        on_bad_row: What to do with a row that cannot be sent: "fail" raises RowError, "skip" counts
            it and keeps a sample in the report.
        on_rejected: What to do with an event that the platform refuses permanently: "skip" counts
            it and keeps a sample in the report, "fail" raises RejectedError.
        rate_limit: Requests per second of one part; None: no limit. A driver divides the limit of
            the job by the number of parts that run at the same time.
        sent_at: The outer timestamp of all requests, with a UTC offset. It is fixed, because a
            request that is repeated must have the same payload, also in another process. The
            default is the time when the settings are made. To repeat a job under its `source`,
            pass the time of the first run; or always None, which is the time of the last event of
            each request.
        event_id: The name under which each event gets a deterministic id in its metadata; None:
            `config.event_id`. An event whose metadata has this name already keeps it.
        event_id_columns: The columns whose values decide about the id; none: the whole event does.
        checkpoint: A URI for `pyarrow.fs`, or an absolute path: a directory with the keys of the
            requests that are settled, which are not sent again under the same `source`.
        terms: How messages name these settings, if users know them by other names.

    Raises:
        ConfigError: A value is refused; the message names the field, the value and the fix.
    """

    config: ClientConfig
    source: str
    key: Choice | None = None
    user_key: Choice | None = None
    timestamp: Choice | datetime | None = None
    is_anonymous_user: Choice | bool | None = None
    metadata: Metadata | None = None
    metadata_json_column: str | None = None
    timezone: str | tzinfo | None = None
    batch_size: int = 400
    in_flight: int = 4
    on_bad_row: OnBadRow = "fail"
    on_rejected: OnRejected = "skip"
    rate_limit: float | None = None
    sent_at: datetime | None = field(default_factory=lambda: datetime.now(UTC))
    event_id: str | None = None
    event_id_columns: Sequence[str] = ()
    checkpoint: str | None = None
    terms: Terms = field(default_factory=Terms, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_config(self.config)
        if self.config.on_failure is not None:  # it may not survive pickling
            object.__setattr__(self, "config", self.config.without_callbacks())
        object.__setattr__(self, "event_id_columns", tuple(self.event_id_columns))
        _check_token("source", self.source, _LONGEST_SOURCE)
        whole(1, 1_000_000)("batch_size", self.batch_size)
        whole(1, MOST_IN_FLIGHT)("in_flight", self.in_flight)
        one_of(*get_args(OnBadRow))("on_bad_row", self.on_bad_row)
        one_of(*get_args(OnRejected))("on_rejected", self.on_rejected)
        _check_rate("rate_limit", self.rate_limit)
        _check_moment("sent_at", self.sent_at)
        self._check_metadata()
        self._check_event_id()

    def _check_metadata(self) -> None:
        if self.metadata is not None and self.metadata_json_column is not None:
            problem = "and metadata are mutually exclusive; leave one out"
            raise config_error("metadata_json_column", self.metadata_json_column, problem)

    def _check_event_id(self) -> None:
        if self.event_id is not None:
            hooks.event_id("event_id", self.event_id)
        if self.event_id_columns and self.event_id_name is None:
            problem = "has no effect without event_id; set the name of the id, such as '_id'"
            raise config_error("event_id_columns", self.event_id_columns, problem)

    @property
    def event_id_name(self) -> str | None:
        """The name of the id in the metadata; None: events get no id."""
        return self.config.event_id if self.event_id is None else self.event_id

    @property
    def choices(self) -> Mapping[str, Any]:
        """What chooses the columns, as arguments of `table.arguments.column_map`."""
        names = ("key", "user_key", "timestamp", "is_anonymous_user", "metadata", "timezone")
        return {name: getattr(self, name) for name in names}


def check_part(part: object) -> str:
    """Check the name of a part, with which the keys of its requests continue.

    Raises:
        ConfigError: It is not a text of 1 to 60 letters, digits or any of `._~@=+-`.
    """
    return _check_token("part", part, _LONGEST_PART)


def _check_token(field: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value) or len(value) > longest:
        problem = f"must have 1 to {longest} letters, digits, or any of ._~@=+- after the first"
        raise config_error(field, value, f"{problem}, because keys begin with it")
    return value


def _check_config(config: object) -> None:
    if not isinstance(config, ClientConfig):
        # Its value is not shown, because it is probably the API key.
        raise config_error("config", type(config), "must be ClientConfig(...)")
    for name, default in _HOOKS.items():
        value = getattr(config, name)
        if value != default:
            problem = "is a hook, and a part has none; change or filter the rows instead"
            raise config_error(f"config.{name}", value, problem)


def _check_rate(field: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        problem = "must be requests per second, more than zero; or None for no limit"
        raise config_error(field, value, problem)


def _check_moment(field: str, value: object) -> None:
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        problem = "must be a datetime with a UTC offset, such as datetime.now(UTC); or None"
        raise config_error(field, value, problem)
