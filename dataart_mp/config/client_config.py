"""All that a client can be told."""

# ruff: noqa: RUF009 - a Setting is no default but the descriptor itself, made once

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from dataart_mp.config import environment
from dataart_mp.config.checks import (
    Flag,
    OptionalFile,
    OptionalSeconds,
    OptionalText,
    OptionalWhole,
    Seconds,
    Text,
    Whole,
    boolean,
    directory,
    import_string,
    optional,
    seconds,
    whole,
)
from dataart_mp.config.cpus import available_cpus
from dataart_mp.config.http_options import HTTPOptions
from dataart_mp.config.setting import MASK, Setting, config_error, masked_repr, secret_error
from dataart_mp.config.url import is_loopback, platform_url
from dataart_mp.errors import ConfigError
from dataart_mp.failure import Failure

BackoffKind = Literal["linear", "exponential"]
Overflow = Literal["block", "drop", "raise"]
SpoolOverflow = Literal["drop_oldest", "refuse_new"]
OnFailure = Callable[[Failure], object]

BackoffSetting = Setting[BackoffKind, BackoffKind]
OverflowSetting = Setting[Overflow, Overflow]
SpoolOverflowSetting = Setting[SpoolOverflow, SpoolOverflow]
OptionalCallback = Setting[OnFailure | None, OnFailure | None]
HTTP = Setting[HTTPOptions, HTTPOptions]

DEFAULT_BASE_URL = "https://src.datartproject.com"
LEAST_PROCESSES_BY_DEFAULT = 2
MOST_PROCESSES_BY_DEFAULT = 4
"""More processes than this rarely help: the platform or the network is the limit by then."""


def _backoff(field: str, value: object) -> BackoffKind:
    if value == "linear":
        return "linear"
    if value == "exponential":
        return "exponential"
    raise config_error(field, value, 'must be "linear" or "exponential"')


def _overflow(field: str, value: object) -> Overflow:
    if value == "block":
        return "block"
    if value == "drop":
        return "drop"
    if value == "raise":
        return "raise"
    raise config_error(field, value, 'must be "block", "drop" or "raise"')


def _spool_overflow(field: str, value: object) -> SpoolOverflow:
    if value == "drop_oldest":
        return "drop_oldest"
    if value == "refuse_new":
        return "refuse_new"
    raise config_error(field, value, 'must be "drop_oldest" or "refuse_new"')


def _http(field: str, value: object) -> HTTPOptions:
    if not isinstance(value, HTTPOptions):
        raise config_error(field, value, "must be HTTPOptions(...)")
    return value


def _callback(field: str, value: object) -> OnFailure:
    if not callable(value):
        raise config_error(field, value, "must be a function of one Failure")
    return value


@dataclass(frozen=True, repr=False)
class ClientConfig:
    """All that a client can be told. Only the key is needed; times are seconds or timedeltas.

    `dataclasses.replace(config, flush_interval=1.0)` makes a changed copy, which is checked
    again. `repr` shows no secret.

    Attributes:
        api_key: The key of the platform's project. The only positional argument.
        base_url: Where the platform is. A path prefix is kept, a slash at the end is not.
        flush_buffer_size: Pending requests (frames) held in memory.
        flush_num_workers: Requests in flight at once, over all processes.
        flush_num_processes: Worker processes that the requests are spread over; None: see
            `num_processes`.
        flush_num_retries: Tries after the first.
        flush_backoff_ratio: Seconds to wait per try made: 5, 10, 15 with 5.
        backoff: How the delays grow: `"linear"`, or `"exponential"` (5, 10, 20 with 5); to 300
            seconds at most.
        backoff_jitter: Whether each delay is lengthened by a random part, up to a quarter of it.
        delivery_timeout: Seconds after a batch's first try in which all others must begin; None
            sets no limit but `flush_num_retries`.
        flush_actions_batch_size: Actions that make a request.
        flush_max_batch_size: Actions that requests are joined up to under backlog, as far as
            `max_request_bytes` allows; None: a request is `flush_actions_batch_size` at most.
        flush_interval: Age in seconds at which the oldest waiting action is sent, with all that
            wait with it.
        max_request_bytes: Size of a frame; pages that are not used cost no memory.
        overflow: What to do when no frame is free: `"block"` the caller, `"drop"` the event and
            count it, or `"raise"` BufferFullError.
        block_timeout: Seconds that `"block"` waits before it raises BufferFullError; None waits
            as long as it takes.
        spool_dir: Directory in which the buffer is a file, made if it isn't there. Then what was
            accepted outlives even the death of all processes: the next client with the same
            directory delivers it.
        spool_max_bytes: Bytes of dead letters that are kept in `spool_dir`, about, and of batches
            that are parked there until the platform answers again: so much of either. The
            buffer's own file is not counted.
        spool_overflow: What to do when so much is parked: `"drop_oldest"` gives up the oldest
            batches, `"refuse_new"` the one that would have to be parked. Either is counted,
            logged and given to `on_failure`.
        exit_timeout: Seconds that the interpreter's exit waits for delivery. What is pending
            then is delivered by the worker processes, which live on.
        http: How requests travel.
        on_failure: Called with each Failure, in the process that made the client, by a thread of
            its own; where that process emits nothing itself, from its first `flush` or `close` on.
        pool_factory: `"package.module:callable"`, which each worker process calls to make its
            own urllib3 pool.

    Raises:
        ConfigError: A value is refused; the message names field, value and remedy.
    """

    api_key: str
    _: KW_ONLY
    base_url: Text = Text(DEFAULT_BASE_URL, platform_url)
    flush_buffer_size: Whole = Whole(1000, whole(1, 1_000_000))
    flush_num_workers: Whole = Whole(16, whole(1, 4096))
    flush_num_processes: OptionalWhole = OptionalWhole(None, optional(whole(1, 4096)))
    flush_num_retries: Whole = Whole(3, whole(0, 1_000_000))
    flush_backoff_ratio: Seconds = Seconds(5.0, seconds())
    backoff: BackoffSetting = BackoffSetting("linear", _backoff)
    backoff_jitter: Flag = Flag(True, boolean)
    delivery_timeout: OptionalSeconds = OptionalSeconds(None, optional(seconds()))
    flush_actions_batch_size: Whole = Whole(20, whole(1, 1_000_000))
    flush_max_batch_size: OptionalWhole = OptionalWhole(None, optional(whole(1, 1_000_000)))
    flush_interval: Seconds = Seconds(5.0, seconds())
    max_request_bytes: Whole = Whole(128 * 1024, whole(1024, 16 * 1024 * 1024 - 1))
    overflow: OverflowSetting = OverflowSetting("block", _overflow)
    block_timeout: OptionalSeconds = OptionalSeconds(None, optional(seconds(or_zero=True)))
    spool_dir: OptionalFile = OptionalFile(None, optional(directory))
    spool_max_bytes: Whole = Whole(1 << 30, whole(1 << 20, 1 << 50))
    spool_overflow: SpoolOverflowSetting = SpoolOverflowSetting("drop_oldest", _spool_overflow)
    exit_timeout: Seconds = Seconds(5.0, seconds(or_zero=True))
    http: HTTP = HTTP(HTTPOptions(), _http)
    on_failure: OptionalCallback = OptionalCallback(None, optional(_callback))
    pool_factory: OptionalText = OptionalText(None, optional(import_string))

    def __post_init__(self) -> None:
        _check_api_key(self.api_key)
        self._check_block_timeout()
        self._check_num_processes()
        self._check_max_batch_size()

    def _check_block_timeout(self) -> None:
        if self.block_timeout is not None and self.overflow != "block":
            problem = f'means nothing with overflow={self.overflow!r}; set overflow="block"'
            raise config_error("block_timeout", self.block_timeout, f"{problem}, or leave it out")

    def _check_num_processes(self) -> None:
        processes, workers = self.flush_num_processes, self.flush_num_workers
        if processes is not None and processes > workers:
            problem = f"must be flush_num_workers={workers} or less: each process sends something"
            raise config_error("flush_num_processes", processes, problem)

    def _check_max_batch_size(self) -> None:
        most, usual = self.flush_max_batch_size, self.flush_actions_batch_size
        if most is not None and most < usual:
            problem = f"must be flush_actions_batch_size={usual} or more, or None"
            raise config_error("flush_max_batch_size", most, problem)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Make a configuration: an argument beats the environment, which beats the default.

        Each field but `on_failure` has its variable: DATAART_API_KEY, DATAART_FLUSH_INTERVAL (in
        seconds), ..., and for the fields of `http` DATAART_HTTP_PROXY, DATAART_HTTP_HEADERS (a
        JSON object), DATAART_HTTP_TRUST_ENV (1 or 0), .... An argument `http` replaces all
        DATAART_HTTP_ variables. An empty variable counts as unset. An unknown DATAART_ variable
        gives a UserWarning.

        Args:
            environ: Names and texts; None is `os.environ`.
            **overrides: Fields of the configuration.

        Raises:
            ConfigError: A value is refused; the message names the variable it came from.
        """
        environ = os.environ if environ is None else environ
        environment.warn_of_unknown(environ, stacklevel=2)
        read = environment.read(environ, environment.PREFIX, environment.CLIENT_PARSERS, overrides)
        if "api_key" not in read and "api_key" not in overrides:
            raise secret_error("api_key", "is not set; set DATAART_API_KEY, or pass api_key")
        if "http" not in overrides:
            overrides = {**overrides, "http": _http_from_env(environ)}
        try:
            return cls(**read, **overrides)
        except ConfigError as error:
            raise environment.blame_variable(error, environment.PREFIX, read) from None

    @property
    def num_processes(self) -> int:
        """How many worker processes there are: `flush_num_processes`, or as many as make sense.

        That is one for each CPU that this process may use, but at least 2, so that one is left
        when one is killed together with the application; no more than 4, and no more than
        `flush_num_workers`.
        """
        if self.flush_num_processes is not None:
            return self.flush_num_processes
        wanted = max(LEAST_PROCESSES_BY_DEFAULT, available_cpus())
        return min(MOST_PROCESSES_BY_DEFAULT, wanted, self.flush_num_workers)

    @property
    def travels_in_the_clear(self) -> bool:
        """Whether requests, the key included, go to another machine and are not encrypted."""
        target = urlsplit(self.base_url)
        return target.scheme == "http" and not is_loopback(target.hostname)

    def without_callbacks(self) -> Self:
        """Return the same without `on_failure`: it can be pickled whatever that was."""
        return dataclasses.replace(self, on_failure=None)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON data without `on_failure`, secrets included: for a worker's pipe."""
        data = {name: value for name, value in vars(self).items() if name != "on_failure"}
        return {**data, "http": self.http.to_wire()}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Make the configuration again from what `to_wire` returned."""
        return cls(**{**data, "http": HTTPOptions.from_wire(data["http"])})

    def __repr__(self) -> str:
        return masked_repr(self, {"api_key": MASK})


def _check_api_key(value: object) -> None:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise secret_error("api_key", f"must be text, not {kind}; pass the key as a str")
    if not value.strip():
        raise secret_error("api_key", "must not be empty; copy it from the platform's project")
    if not _fits_a_header(value):
        problem = "must be printable Latin-1 text without spaces or line breaks around it"
        raise secret_error("api_key", f"{problem}, as it travels in a header; copy it again")


def _fits_a_header(text: str) -> bool:
    return text.isprintable() and text == text.strip() and max(text) <= "\xff"


def _http_from_env(environ: Mapping[str, str]) -> HTTPOptions:
    read = environment.read(environ, environment.HTTP_PREFIX, environment.HTTP_PARSERS)
    try:
        return HTTPOptions(**read)
    except ConfigError as error:
        raise environment.blame_variable(error, environment.HTTP_PREFIX, read) from None
