"""Hooks: what an application wants to happen to each event before it is encoded.

    sample ─► add metadata ─► encode ─► decode ─► before_send ─► encode ─► add id ─► append
              context,        └──── only with before_send ──┘             event_id
              default_metadata

An event is validated before `before_send` sees it, so errors of the caller reach the caller, and
`before_send` gets plain JSON values, which belong to it. What it returns is validated as usual.

A client without hooks does not use this module: see `Client._use_hooks`. The last two steps are in
C if they can be, by `Appender.emit_actions`.
"""

import inspect
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.config.hooks import BeforeSend, DefaultMetadata, Event
from dataart_mp.errors import ConfigError, EventError, short_repr
from dataart_mp.producer import bound
from dataart_mp.producer.encoder import as_dict, checked_key, encode_action, encode_identity
from dataart_mp.producer.log_throttle import LogThrottle, Occurrences
from dataart_mp.producer.plain import to_sendable
from dataart_mp.producer.sampling import Sampling
from dataart_mp.producer.usual import FIELDS, REQUIRED
from dataart_mp.queue.counters import HOOK_DROPPED, HOOK_RAISED, SAMPLED

if TYPE_CHECKING:
    from dataart_mp.producer.event_ids import EventIds

_log = logging.getLogger("dataart_mp")

T = TypeVar("T")

_LOG_INTERVAL_SECONDS: Final = 30.0
_ALREADY_APPENDED: Final = b""
_IDENTITY_FIELDS: Final = ("user_key", "metadata")


class DroppedError(Exception):
    """A hook has dropped the event.

    Attributes:
        column: Where it is counted: one of `queue.counters.HOOK_REASONS`.
    """

    def __init__(self, column: int) -> None:
        super().__init__(column)
        self.column = column


class _ReentryError(RecursionError):
    """A hook emits an event, for which it would be called again. The text may be shown."""


class _Calls:
    """Calls hooks, but not from within themselves."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def call(self, name: str, hook: Callable[..., T], *arguments: object) -> T:
        """Call a hook.

        Raises:
            _ReentryError: This thread is in a call of a hook.
            Exception: The hook raised it.
        """
        thread = self._thread
        if getattr(thread, "is_in_hook", False):
            raise _ReentryError(f"was to be called for an event that {name} itself emits")
        thread.is_in_hook = True
        try:
            return hook(*arguments)
        finally:
            thread.is_in_hook = False


class Hooks:
    """The hooks of one client.

    Args:
        config: The client's settings.

    Attributes:
        are_configured: Whether the settings name any hook.
        emit: Encodes and appends actions, as `Appender.emit_actions`; None if C is not in use.

    Raises:
        ConfigError: `default_metadata` holds a value that cannot be sent.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.emit: Callable[[list[Any], int, datetime], int] | None = None
        self._before_send = config.before_send
        self._calls = _Calls()
        self._defaults = _Defaults(config.default_metadata, self._calls)
        sampling = Sampling(config.sample_rate)
        self._sampling = None if sampling.keeps_all else sampling
        self._event_ids = _event_ids(config.event_id)
        self._exceptions = LogThrottle(_LOG_INTERVAL_SECONDS)
        self._last_exception = ""
        hooks = (self._before_send, self._sampling, config.default_metadata, self._event_ids)
        self.are_configured = any(hook is not None for hook in hooks)

    def encode_action(
        self,
        key: object,
        user_key: object,
        is_anonymous_user: object = False,
        timestamp: object = None,
        metadata: object = None,
    ) -> bytes:
        """Do what `encoder.encode_action` does, with the hooks.

        Returns:
            The record; no bytes if the action is already appended (by `emit`).

        Raises:
            DroppedError: The action is not sent.
            EventError: As for `encoder.encode_action`; or a hook returned what cannot be sent.
        """
        if self._sampling is not None:
            key, user_key = checked_key("key", key), checked_key("user_key", user_key)
            if not self._sampling.keeps(key, user_key):
                raise DroppedError(SAMPLED)
        event = {
            "key": key,
            "user_key": user_key,
            "is_anonymous_user": is_anonymous_user,
            "timestamp": timestamp,
            "metadata": self._completed(metadata),
        }
        encode: Callable[..., bytes] = encode_action
        if self._before_send is not None:
            event = self._seen(self._before_send, encode_action(**event), FIELDS, REQUIRED)
            encode = _encode_returned_action
        if self._event_ids is not None:
            return self._event_ids.with_id(encode(**event))
        if self.emit is not None and self.emit([event], 0, datetime.now(UTC)):
            return _ALREADY_APPENDED
        return encode(**event)

    def encode_identity(self, user_key: object, metadata: object = None) -> bytes:
        """Do what `encoder.encode_identity` does, with `before_send`.

        Raises:
            DroppedError, EventError: As for `encode_action`.
        """
        record = encode_identity(user_key, metadata)
        if self._before_send is None:
            return record
        event = self._seen(self._before_send, record, _IDENTITY_FIELDS, _IDENTITY_FIELDS[:1])
        return _encode_returned_identity(**event)

    def log_remaining(self) -> None:
        """Log the exceptions that were not logged yet."""
        self._log_exceptions(self._exceptions.remaining(clock.monotonic()))

    def _completed(self, metadata: object) -> object:
        """Return metadata with what is bound and what is the default."""
        further = {**self._defaults.current(), **bound.current()}
        if not further:
            return metadata
        if metadata is not None:
            further.update(metadata if type(metadata) is dict else as_dict(metadata))
        return further

    def _seen(
        self,
        before_send: BeforeSend,
        record: bytes,
        fields: tuple[str, ...],
        required: tuple[str, ...],
    ) -> Event:
        """Return the fields of an event as `before_send` wants them to be sent."""
        event = orjson.loads(record)
        had_none = event["metadata"] is None
        if had_none:
            event["metadata"] = {}  # so that the hook can add and remove keys
        try:
            returned = self._calls.call("before_send", before_send, event)
        except Exception as error:  # noqa: BLE001 - it is the application's code
            self._report(error)
            raise DroppedError(HOOK_RAISED) from None
        if returned is None:
            raise DroppedError(HOOK_DROPPED)
        event = _checked(returned, fields, required)
        if had_none and event.get("metadata") == {}:
            event["metadata"] = None
        return event

    def _report(self, error: Exception) -> None:
        self._last_exception = f"before_send {_described(error)}"
        self._log_exceptions(self._exceptions.count(1, clock.monotonic()))

    def _log_exceptions(self, exceptions: Occurrences) -> None:
        if exceptions:
            _log.error("%s: %s", exceptions.describe("event", "dropped"), self._last_exception)


def _event_ids(name: str | None) -> "EventIds | None":
    if name is None:
        return None
    # Here, because it loads OpenSSL: 3.6 MB, which few applications need.
    from dataart_mp.producer.event_ids import EventIds

    return EventIds(name)


class _Defaults:
    """The setting `default_metadata`."""

    def __init__(self, setting: DefaultMetadata | None, calls: _Calls) -> None:
        self._calls = calls
        self._function: Callable[[], object] | None = None
        self._exceptions = LogThrottle(_LOG_INTERVAL_SECONDS)
        self._metadata: dict[str, Any] = {}
        if isinstance(setting, Mapping):
            try:
                self._metadata = to_sendable("default_metadata", dict(setting))
            except EventError as error:
                raise ConfigError(str(error), "default_metadata") from error.__cause__
        else:
            self._function = setting

    def current(self) -> Mapping[Any, Any]:
        """Return the metadata for an event that is emitted now.

        Raises:
            EventError: The function returned something else.
        """
        if self._function is None:
            return self._metadata
        try:
            metadata = self._calls.call("default_metadata", self._function)
        except Exception as error:  # noqa: BLE001 - it is the application's code
            failures = self._exceptions.count(1, clock.monotonic())
            if failures:
                text = failures.describe("event", "emitted without default_metadata")
                _log.error("%s, which %s", text, _described(error))
            return {}
        if not isinstance(metadata, Mapping):
            problem = f"the function returned {_kind(metadata)}; return a dict"
            raise EventError(f"default_metadata: {problem}", "default_metadata")
        return metadata


def _checked(
    returned: object, fields: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, Any]:
    """Return what `before_send` returned as arguments of an encoder.

    Raises:
        EventError: It is not a mapping, or has missing or unknown fields.
    """
    if not isinstance(returned, Mapping):
        if inspect.iscoroutine(returned):
            returned.close()
        raise EventError(
            f"before_send returned {_kind(returned)}; "
            "return the event as a dict, or None to drop it"
        )
    for name in required:
        if name not in returned:
            raise EventError(f"{name}: is missing in the event that before_send returned", name)
    for name in returned:
        if name not in fields:
            problem = f"before_send returned an event with {short_repr(name)}"
            raise EventError(f"{problem}, which is not a field of it; put it into its metadata")
    return dict(returned)


def _naming_before_send(encode: Callable[..., bytes]) -> Callable[..., bytes]:
    """Make an encoder whose errors say that `before_send` returned the event."""

    def encode_returned(**event: object) -> bytes:
        try:
            return encode(**event)
        except EventError as error:
            text = f"{error} (in the event that before_send returned)"
            raise EventError(text, error.path) from error.__cause__

    return encode_returned


_encode_returned_action: Final = _naming_before_send(encode_action)
_encode_returned_identity: Final = _naming_before_send(encode_identity)


def _kind(value: object) -> str:
    """Name a value's type, without its content: it may hold what must not be shown."""
    return f"an object of type {type(value).__name__}" if value is not None else "None"


def _described(error: Exception) -> str:
    """Say what a hook raised, and where, without the text, which may hold parts of an event."""
    if isinstance(error, _ReentryError):
        return str(error)
    kind = type(error)
    name = (
        kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    )
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    code = frame.f_code
    return f"raised {name} ({code.co_filename}:{line}, in {code.co_name})"
