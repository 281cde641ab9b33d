"""Command-line options that configure a client.

An option overrides its environment variable, which overrides the default. There is no option for
the API key itself: other users can read arguments (`ps`), and shells keep them in their history.
"""

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from dataart_mp.cli.message import warn
from dataart_mp.config import ClientConfig
from dataart_mp.config.environment import PREFIX, variable
from dataart_mp.errors import ConfigError

C = TypeVar("C", bound=Callable[..., object])


class _Option(NamedTuple):
    flag: str
    field: str
    type: type
    help: str


_OPTIONS: Final = (
    _Option("--base-url", "base_url", str, "URL of the platform."),
    _Option("--batch-size", "flush_actions_batch_size", int, "Number of actions per request."),
    _Option(
        "--max-batch-size",
        "flush_max_batch_size",
        int,
        "Number of actions that requests are joined up to when many are waiting.",
    ),
    _Option("--workers", "flush_num_workers", int, "Number of concurrent requests."),
    _Option("--processes", "flush_num_processes", int, "Number of worker processes."),
    _Option("--buffer-size", "flush_buffer_size", int, "Number of pending requests in memory."),
    _Option("--retries", "flush_num_retries", int, "Number of retries of a failed request."),
    _Option("--backoff", "flush_backoff_ratio", float, "Seconds of delay per failed attempt."),
)
_SPOOL: Final = _Option(
    "--spool-dir", "spool_dir", str, "Directory that keeps events until they are delivered."
)
_EVENT_ID: Final = _Option(
    "--event-id", "event_id", str, "Name of a deterministic id in the metadata of each action."
)
_WITHOUT_DEFAULT: Final = (_SPOOL, _EVENT_ID)
_FLAGS: Final = {option.field: option.flag for option in (*_OPTIONS, *_WITHOUT_DEFAULT)}
_DEFAULTS: Final = {field.name: field.default for field in dataclasses.fields(ClientConfig)}
_KEY_FLAG: Final = "--api-key-file"
_KEY_VARIABLE: Final = variable(PREFIX, "api_key")


def client_options(command: C) -> C:
    """Add the options that `client_config` takes to a click command."""
    for option in reversed(_OPTIONS):
        command = _add(option, command)
    return click.option(
        _KEY_FLAG,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"File that contains the API key.  [env: {_KEY_VARIABLE}, the key itself]",
    )(command)


def spool_option(command: C) -> C:
    """Add the option for the spool, which is a value for `client_config`, to a click command."""
    return _add(_SPOOL, command)


def event_id_option(command: C) -> C:
    """Add the option for the ids of events, a value for `client_config`, to a click command."""
    return _add(_EVENT_ID, command)


def client_config(api_key_file: Path | None, **given: object) -> ClientConfig:
    """Make the configuration of a client that waits while its buffer is full.

    Args:
        api_key_file: The file that contains the API key; None: the key is in the environment.
        **given: The values of `client_options`; None: the option was not given.

    Raises:
        ConfigError: A value is wrong; the message names the option or variable, and the fix.
    """
    settings = {field: value for field, value in given.items() if value is not None}
    if api_key_file is not None:
        key = _read_key(api_key_file)
        if api_key_file.is_file():  # workers read it again
            settings["api_key_file"] = api_key_file
        else:  # a pipe can be read once
            settings["api_key"] = key
    try:
        return _from_env(**settings)
    except ConfigError as error:
        raise _naming_option(error, settings) from None


def _add(option: _Option, command: C) -> C:
    return click.option(
        option.flag, option.field, type=option.type, help=_help(option), show_default=False
    )(command)


def _help(option: _Option) -> str:
    default = _DEFAULTS[option.field]
    none = "none" if option in _WITHOUT_DEFAULT else "by the number of CPUs"
    shown = none if default is None else default
    return f"{option.help}  [env: {variable(PREFIX, option.field)}; default: {shown}]"


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_KEY_FLAG}: {file} cannot be read as text: {error}") from None


def _from_env(**settings: Any) -> ClientConfig:
    # Reading a file can wait without losing events, so a full buffer blocks. The command itself
    # waits for delivery as long as --timeout says; the interpreter's exit must not wait again.
    settings |= {"overflow": "block", "block_timeout": None, "exit_timeout": 0.0}
    with _warnings_as_messages():
        return ClientConfig.from_env(**settings)


@contextmanager
def _warnings_as_messages() -> Iterator[None]:
    """Show warnings without a source line: they concern the user's environment, not the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                warn(str(warning.message))


def _naming_option(error: ConfigError, settings: dict[str, Any]) -> ConfigError:
    """Reword an error so that it names the option that is wrong or missing."""
    field = error.field or ""
    if field == "api_key" and field not in settings and not os.environ.get(_KEY_VARIABLE):
        remedy = f"set {_KEY_VARIABLE}, or give {_KEY_FLAG} FILE"
        return ConfigError(f"api_key is not set; {remedy}", field)
    flag = _KEY_FLAG if field in ("api_key", "api_key_file") else _FLAGS.get(field)
    return ConfigError(f"{flag}: {error}", field) if flag and field in settings else error
