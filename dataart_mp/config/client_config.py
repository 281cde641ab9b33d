"""`ClientConfig`: client settings."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from dataart_mp.config import environment, hooks, key_file
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
    one_of,
    optional,
    seconds,
    whole,
)
from dataart_mp.config.cpus import available_cpus
from dataart_mp.config.environment import integer, json_object, number, truth
from dataart_mp.config.hooks import OptionalBeforeSend, OptionalDefaultMetadata, SampleRate
from dataart_mp.config.http_options import HTTPOptions
from dataart_mp.config.setting import (
    Setting,
    config_error,
    mask,
    masked_repr,
    secret_error,
    settings,
)
from dataart_mp.config.url import is_loopback, platform_url
from dataart_mp.errors import ConfigError
from dataart_mp.failure import Failure

BackoffKind = Literal["linear", "exponential"]
Overflow = Literal["block", "drop", "raise"]
SpoolOverflow = Literal["drop_oldest", "refuse_new"]
SpoolSync = Literal["none", "interval", "batch"]
OnFailure = Callable[[Failure], object]

BackoffSetting = Setting[BackoffKind, BackoffKind]
OverflowSetting = Setting[Overflow, Overflow]
SpoolOverflowSetting = Setting[SpoolOverflow, SpoolOverflow]
SpoolSyncSetting = Setting[SpoolSync, SpoolSync]
OptionalCallback = Setting[OnFailure | None, OnFailure | None]
HTTP = Setting[HTTPOptions, HTTPOptions]

DEFAULT_BASE_URL = "https://src.datartproject.com"
MAX_BATCH_SIZE_BY_DEFAULT = 500
_NOT_FOR_WORKERS = ("on_failure", "before_send", "sample_rate", "default_metadata", "event_id")
LEAST_PROCESSES_BY_DEFAULT = 2
MOST_PROCESSES_BY_DEFAULT = 4
"""More processes rarely help: by then the platform or the network is the limit."""


_EMPTY: Final = "must not be empty; copy it from the platform's project"


def _api_key(field: str, value: object) -> str:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise secret_error(field, f"must be text, not {kind}; pass the key as a str")
    if not value:  # is refused later, unless there is a file
        return value
    if not value.strip():
        raise secret_error(field, _EMPTY)
    if not value.isprintable() or value != value.strip() or max(value) > "\xff":
        problem = "must be printable Latin-1 text without surrounding spaces or line breaks"
        raise secret_error(field, f"{problem}, because it is sent in a header; copy it again")
    return value


def _http(field: str, value: object) -> HTTPOptions:
    if not isinstance(value, HTTPOptions):
        raise config_error(field, value, "must be HTTPOptions(...)")
    return value


def _callback(field: str, value: object) -> OnFailure:
    if not callable(value):
        raise config_error(field, value, "must be a function that takes one Failure")
    return value


@settings
class ClientConfig:
    """Client settings. Only the key is required; times are in seconds, or timedeltas.

    `dataclasses.replace(config, flush_interval=1.0)` returns a changed copy, which is checked
    again. `repr` shows no secrets.

    Attributes:
        api_key: The API key of the platform's project. The only positional argument.
        base_url: URL of the platform. A path prefix is kept, a trailing slash is not.
        flush_buffer_size: Pending requests (frames) that are held in memory.
        flush_num_workers: Requests in flight at the same time at most, over all processes.
        adaptive: Whether fewer requests are in flight while the platform is too busy, does not
            respond, or becomes slow because of them.
        flush_num_processes: Worker processes that share these requests; None: see
            `num_processes`.
        flush_num_retries: Attempts after the first one.
        flush_backoff_ratio: Seconds that each attempt adds to the delay: 5, 10, 15 with 5.
        backoff: How delays grow: `"linear"`, or `"exponential"` (5, 10, 20 with 5). A delay is
            never longer than 300 seconds.
        backoff_jitter: Whether each delay is extended by a random part of up to a quarter.
        delivery_timeout: No retry starts later than this many seconds after the first attempt;
            None: only `flush_num_retries` limits retries.
        flush_actions_batch_size: Number of actions in a request.
        flush_max_batch_size: Number of actions that requests are joined up to when many are
            waiting, as far as `max_request_bytes` allows; `flush_actions_batch_size` if that is
            more. None: requests are not joined.
        flush_interval: Age in seconds at which the oldest waiting action is sent, together with
            all that wait.
        max_request_bytes: Size of a frame. Pages that are not used cost no memory.
        overflow: What to do when no frame is free: `"block"` the caller, `"drop"` the event and
            count it, or `"raise"` BufferFullError.
        block_timeout: Seconds that `"block"` waits before it raises BufferFullError; None: no
            limit.
        spool_dir: Directory that holds the buffer as a file; it is created if it does not exist.
            Accepted events then survive the death of all processes: the next client with the
            same directory delivers them.
        spool_max_bytes: Approximate limit, in bytes, for dead letters in `spool_dir`, and also for
            the batches that are parked there during an outage. Each has this limit separately;
            the file of the buffer does not count.
        spool_overflow: What to do when parked batches reach the limit: `"drop_oldest"` abandons
            the oldest batches, `"refuse_new"` the new one. Either is counted, logged and passed
            to `on_failure`.
        spool_sync: What a power failure can cost: `"none"`: what the kernel has not written to
            the disk yet; `"interval"`: what is not older than a second; `"batch"`: what no worker
            has got yet, because the calls that fill a request wait for the disk.
        exit_timeout: Seconds that the exit of the interpreter waits for delivery. The worker
            processes outlive it and deliver the rest.
        http: How requests are sent.
        on_failure: Called with each Failure, on a separate thread of the process that made the
            client. If that process neither emits nor flushes, a forked child that emits calls it.
        before_send: Called with each event before it is encoded, as a dict of plain JSON values.
            It returns the event to send, changed or not, or None to drop it. An exception drops
            the event.
        sample_rate: Which part of the actions is sent: from 0 to 1, or a mapping of event keys to
            such rates, in which keys that are missing have 1. The user's key decides, so all
            actions of a user are treated alike.
        default_metadata: Metadata that every action gets: a mapping, or a function without
            arguments that returns one. What the call passes takes precedence.
        pool_factory: `"package.module:callable"`, which each worker process calls to make its
            urllib3 pool.
        api_key_file: The file that holds the key, in place of `api_key`. Workers read it again
            when it changes, and when the platform refuses the key (401, 403).
        event_id: The name under which each action gets a deterministic id in its metadata, such as
            `"_id"`; None: actions get no id. Equal actions get the same one. An action whose
            metadata has this name already keeps it.

    Raises:
        ConfigError: A value is refused; the message names the field, the value and the fix.
    """

    api_key: Text = Setting(default="", check=_api_key, hide=mask)
    _: KW_ONLY
    base_url: Text = Setting(default=DEFAULT_BASE_URL, check=platform_url)
    flush_buffer_size: Whole = Setting(default=1000, check=whole(1, 1_000_000), parse=integer)
    flush_num_workers: Whole = Setting(default=32, check=whole(1, 4096), parse=integer)
    adaptive: Flag = Setting(default=True, check=boolean, parse=truth)
    flush_num_processes: OptionalWhole = Setting(
        default=None, check=optional(whole(1, 4096)), parse=integer
    )
    flush_num_retries: Whole = Setting(default=3, check=whole(0, 1_000_000), parse=integer)
    flush_backoff_ratio: Seconds = Setting(default=5.0, check=seconds(), parse=number)
    backoff: BackoffSetting = Setting(default="linear", check=one_of("linear", "exponential"))
    backoff_jitter: Flag = Setting(default=True, check=boolean, parse=truth)
    delivery_timeout: OptionalSeconds = Setting(
        default=None, check=optional(seconds()), parse=number
    )
    flush_actions_batch_size: Whole = Setting(default=20, check=whole(1, 1_000_000), parse=integer)
    flush_max_batch_size: OptionalWhole = Setting(
        default=MAX_BATCH_SIZE_BY_DEFAULT, check=optional(whole(1, 1_000_000)), parse=integer
    )
    flush_interval: Seconds = Setting(default=5.0, check=seconds(), parse=number)
    max_request_bytes: Whole = Setting(
        default=128 * 1024, check=whole(1024, 16 * 1024 * 1024 - 1), parse=integer
    )
    overflow: OverflowSetting = Setting(default="block", check=one_of("block", "drop", "raise"))
    block_timeout: OptionalSeconds = Setting(
        default=None, check=optional(seconds(or_zero=True)), parse=number
    )
    spool_dir: OptionalFile = Setting(default=None, check=optional(directory))
    spool_max_bytes: Whole = Setting(default=1 << 30, check=whole(1 << 20, 1 << 50), parse=integer)
    spool_overflow: SpoolOverflowSetting = Setting(
        default="drop_oldest", check=one_of("drop_oldest", "refuse_new")
    )
    spool_sync: SpoolSyncSetting = Setting(
        default="none", check=one_of("none", "interval", "batch")
    )
    exit_timeout: Seconds = Setting(default=5.0, check=seconds(or_zero=True), parse=number)
    http: HTTP = Setting(default=HTTPOptions(), check=_http, parse=None)
    on_failure: OptionalCallback = Setting(default=None, check=optional(_callback), parse=None)
    before_send: OptionalBeforeSend = Setting(
        default=None, check=optional(hooks.before_send), parse=None
    )
    sample_rate: SampleRate = Setting(
        default=1.0, check=hooks.sample_rate, parse=hooks.parse_rate, hashed=False
    )
    default_metadata: OptionalDefaultMetadata = Setting(
        default=None, check=optional(hooks.default_metadata), parse=json_object, hashed=False
    )
    pool_factory: OptionalText = Setting(default=None, check=optional(import_string))
    api_key_file: OptionalFile = Setting(default=None, check=optional(key_file.file_path))
    event_id: OptionalText = Setting(default=None, check=optional(hooks.event_id))

    def __post_init__(self) -> None:
        self._check_key()
        self._check_block_timeout()
        self._check_num_processes()
        self._check_max_batch_size()

    def _check_key(self) -> None:
        if self.api_key and self.api_key_file is not None:
            problem = "and api_key are mutually exclusive; leave one out"
            raise config_error("api_key_file", self.api_key_file, problem)
        if not self.api_key and self.api_key_file is None:
            raise secret_error("api_key", _EMPTY)

    def _check_block_timeout(self) -> None:
        if self.block_timeout is not None and self.overflow != "block":
            problem = f'has no effect when overflow={self.overflow!r}; set overflow="block"'
            raise config_error("block_timeout", self.block_timeout, f"{problem}, or leave it out")

    def _check_num_processes(self) -> None:
        processes, workers = self.flush_num_processes, self.flush_num_workers
        if processes is not None and processes > workers:
            problem = (
                f"must be flush_num_workers={workers} or less, because each process sends requests"
            )
            raise config_error("flush_num_processes", processes, problem)

    def _check_max_batch_size(self) -> None:
        most, usual = self.flush_max_batch_size, self.flush_actions_batch_size
        if most not in (None, MAX_BATCH_SIZE_BY_DEFAULT) and most < usual:
            problem = f"must be flush_actions_batch_size={usual} or more, or None"
            raise config_error("flush_max_batch_size", most, problem)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Make a configuration from arguments, then the environment, then the defaults.

        Each field except `on_failure` and `before_send` has a variable: DATAART_API_KEY,
        DATAART_FLUSH_INTERVAL (in seconds), ..., and for the fields of `http` DATAART_HTTP_PROXY,
        DATAART_HTTP_HEADERS (a JSON object), DATAART_HTTP_TRUST_ENV (1 or 0), .... The argument
        `http` replaces all DATAART_HTTP_ variables. An empty variable counts as unset. An unknown
        DATAART_ variable causes a UserWarning.

        Args:
            environ: Names and texts; None: `os.environ`.
            **overrides: Fields of the configuration.

        Raises:
            ConfigError: A value is refused; the message names the variable that it came from.
        """
        environ = os.environ if environ is None else environ
        environment.warn_of_unknown(
            environ,
            {environment.PREFIX: cls, environment.HTTP_PREFIX: HTTPOptions},
            stacklevel=2,
        )
        read = environment.read(environ, environment.PREFIX, cls, overrides)
        if not {"api_key", "api_key_file"}.isdisjoint(overrides):  # an argument beats the variable
            read = {name: text for name, text in read.items() if not name.startswith("api_key")}
        elif {"api_key", "api_key_file"}.isdisjoint(read):
            raise secret_error(
                "api_key",
                "is not set; set DATAART_API_KEY, or pass api_key; or set DATAART_API_KEY_FILE",
            )
        if "http" not in overrides:
            overrides = {**overrides, "http": _http_from_env(environ)}
        try:
            return cls(**read, **overrides)
        except ConfigError as error:
            raise environment.blame_variable(error, environment.PREFIX, read) from None

    def read_api_key(self) -> str:
        """Return the API key: `api_key`, or what `api_key_file` holds at this moment.

        Raises:
            ConfigError: The file cannot be read, or holds no key; the message does not quote it.
        """
        if self.api_key_file is None:
            return self.api_key
        key = key_file.read(self.api_key_file)
        if not key:
            raise config_error(key_file.FIELD, self.api_key_file, "is empty; write the key to it")
        try:
            return _api_key("api_key", key)
        except ConfigError as error:
            problem = str(error).partition(": ")[2]
            raise config_error(key_file.FIELD, self.api_key_file, f"its key {problem}") from None

    @property
    def num_processes(self) -> int:
        """Number of worker processes: `flush_num_processes`, or a number chosen for this machine.

        The choice is one for each CPU that this process may use, but at least 2, so that one is
        left if the other is killed together with the application; at most 4, and at most
        `flush_num_workers`.
        """
        if self.flush_num_processes is not None:
            return self.flush_num_processes
        wanted = max(LEAST_PROCESSES_BY_DEFAULT, available_cpus())
        return min(MOST_PROCESSES_BY_DEFAULT, wanted, self.flush_num_workers)

    @property
    def travels_in_the_clear(self) -> bool:
        """Whether requests, including the key, are sent to another machine unencrypted."""
        target = urlsplit(self.base_url)
        return target.scheme == "http" and not is_loopback(target.hostname)

    def without_callbacks(self) -> Self:
        """Return a copy without `on_failure`, which may not survive pickling.

        Only the process that created the client calls it, or a forked child. The hooks for events
        (`before_send` and others) stay: without them, another process would send what they remove.
        """
        return dataclasses.replace(self, on_failure=None)

    def to_wire(self) -> dict[str, Any]:
        """Return the settings that a worker needs as plain JSON data. It includes secrets."""
        data = {name: value for name, value in vars(self).items() if name not in _NOT_FOR_WORKERS}
        return {**data, "http": self.http.to_wire()}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Make a configuration from the result of `to_wire`."""
        return cls(**{**data, "http": HTTPOptions.from_wire(data["http"])})

    def __repr__(self) -> str:
        return masked_repr(self)


def _http_from_env(environ: Mapping[str, str]) -> HTTPOptions:
    read = environment.read(environ, environment.HTTP_PREFIX, HTTPOptions)
    try:
        return HTTPOptions(**read)
    except ConfigError as error:
        raise environment.blame_variable(error, environment.HTTP_PREFIX, read) from None
