"""A job: the options of a write and the columns of its rows, checked before any task begins."""

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.config import ClientConfig
from dataart_mp.config.setting import config_error
from dataart_mp.errors import ConfigError
from dataart_mp.ship import ShipSettings, check_schema
from dataart_mp.spark.arrow import arrow_schema
from dataart_mp.spark.options import Options, read_options
from dataart_mp.spark.terms import OPTIONS
from dataart_mp.table.literal import lit

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_TIMESTAMP: Final = "timestamp"


@dataclass(frozen=True)
class Registration:
    """What `register` found out in the driver.

    Attributes:
        config: The configuration that jobs begin with; None: the driver's environment has it.
        tasks: Tasks that the cluster runs at the same time; None: unknown.
    """

    config: ClientConfig | None = None
    tasks: int | None = None


@dataclass(frozen=True)
class Job:
    """A job that ships the rows of a DataFrame.

    It survives pickling, with the API key: so it travels from the driver to the tasks.

    Attributes:
        settings: What tasks need.
        report: URI of the file for the report; None: none is written.
    """

    settings: ShipSettings
    report: str | None


def job_of(
    given: Mapping[str, object],
    schema: "StructType",
    registration: Registration,
    *,
    is_stream: bool = False,
) -> Job:
    """Make a job, and check all that can be checked before its first row.

    Args:
        given: The options of the write, by name.
        schema: The columns of the rows.
        registration: What `register` found out.
        is_stream: Whether the rows come from a stream, in micro-batches.

    Raises:
        ConfigError: An option is unknown, missing or invalid.
        TableError: A column is missing, or has a type that does not fit.
        MissingExtraError: The package pyarrow is not installed.
    """
    options = read_options(given)
    if is_stream and options.source is None:
        raise ConfigError(
            "source: is required for a stream, because a micro-batch that is repeated after a "
            "restart must have the same keys; set it to a name that the query keeps",
            "source",
        )
    settings = ShipSettings(
        config=_config(options, registration.config),
        source=options.source or uuid.uuid4().hex,
        key=options.key_column if options.key is None else lit(options.key),
        user_key=options.user_key_column,
        timestamp=options.timestamp_column or _TIMESTAMP,
        is_anonymous_user=options.anonymous_column,
        metadata=options.metadata,
        metadata_json_column=options.metadata_json_column,
        timezone=options.timezone,
        batch_size=options.batch_size,
        in_flight=options.in_flight,
        on_bad_row=options.on_bad_row,
        on_rejected=options.on_rejected,
        rate_limit=_rate_of_a_task(options, registration.tasks),
        sent_at=_sent_at(options),
        event_id=options.event_id,
        event_id_columns=options.event_id_columns,
        checkpoint=options.checkpoint,
        terms=OPTIONS,
    )
    check_schema(arrow_schema(schema), settings)
    return Job(settings, options.report)


def _config(options: Options, base: ClientConfig | None) -> ClientConfig:
    """Return the configuration with the options that change it."""
    config = ClientConfig.from_env() if base is None else base
    changes: dict[str, Any] = {}
    if options.base_url is not None:
        changes["base_url"] = options.base_url
    if options.retries is not None:
        changes["flush_num_retries"] = options.retries
    if isinstance(options.backoff, str):
        changes["backoff"] = options.backoff
    elif options.backoff is not None:
        changes["flush_backoff_ratio"] = options.backoff
    http = {"read_timeout": options.read_timeout, "compression": options.compression}
    http_changes: dict[str, Any] = {name: new for name, new in http.items() if new is not None}
    if http_changes:
        changes["http"] = dataclasses.replace(config.http, **http_changes)
    return dataclasses.replace(config, **changes)


def _sent_at(options: Options) -> datetime | None:
    """Return the outer timestamp of all requests; None: the time of the last event of each.

    A job that has a name may be run again, and a stream is after each restart. Then the same key
    must have the same payload, although nobody remembers when the first run began.
    """
    if options.sent_at is None and options.source is None:
        return datetime.now(UTC)
    return options.sent_at


def _rate_of_a_task(options: Options, tasks: int | None) -> float | None:
    """Divide the rate limit by the number of tasks that share it."""
    if options.rate_limit is None:
        if options.tasks is not None:
            problem = "has no effect without rate_limit; set rate_limit too, or leave it out"
            raise config_error("tasks", options.tasks, problem)
        return None
    tasks = options.tasks or tasks
    if tasks is None:
        problem = (
            "is divided by the number of tasks that run at the same time, which is not known here; "
            "set the option tasks, or call dataart_mp.spark.register(spark)"
        )
        raise config_error("rate_limit", options.rate_limit, problem)
    return options.rate_limit / tasks
