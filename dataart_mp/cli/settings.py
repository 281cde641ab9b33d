"""Options of a command that become a client's configuration.

An option beats its environment variable, which beats the default. The API key is no option: an
argument can be read by everybody on the machine (`ps`), and stays in the shell's history.
"""

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
    _Option("--base-url", "base_url", str, "Where the platform is."),
    _Option("--batch-size", "flush_actions_batch_size", int, "Actions that make a request."),
    _Option("--workers", "flush_num_workers", int, "Requests in flight at once."),
    _Option("--processes", "flush_num_processes", int, "Worker processes for them."),
    _Option("--buffer-size", "flush_buffer_size", int, "Pending requests held in memory."),
    _Option("--retries", "flush_num_retries", int, "Tries after the first."),
    _Option("--backoff", "flush_backoff_ratio", float, "Seconds to wait per try made."),
)
_FLAGS: Final = {option.field: option.flag for option in _OPTIONS}


def client_options(command: C) -> C:
    """Give a click command the options that `client_config` takes."""
    for option in reversed(_OPTIONS):
        command = click.option(
            option.flag, option.field, type=option.type, help=_help(option), show_default=False
        )(command)
    return click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the API key.  [env: DATAART_API_KEY, the key itself]",
    )(command)


def client_config(api_key_file: Path | None, **given: object) -> ClientConfig:
    """Make the configuration of a client that waits when its buffer is full.

    Args:
        api_key_file: Where the key is; None: in the environment.
        **given: What `client_options` read; None: not given.

    Raises:
        ConfigError: A value is refused; the message names option or variable, and the remedy.
    """
    settings = {field: value for field, value in given.items() if value is not None}
    if api_key_file is not None:
        settings["api_key"] = _read_key(api_key_file)
    try:
        return _from_env(**settings)
    except ConfigError as error:
        raise _in_words_of_the_command_line(error, settings) from None


def _help(option: _Option) -> str:
    default = getattr(ClientConfig, option.field)
    shown = "by the CPUs" if default is None else default
    return f"{option.help}  [env: {variable(PREFIX, option.field)}; default: {shown}]"


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--api-key-file: {file} cannot be read as text: {error}") from None


def _from_env(**settings: Any) -> ClientConfig:
    # A file can wait: it loses nothing. At the end the command itself waits for delivery, as long
    # as it was told to; the interpreter's exit need not wait again.
    settings |= {"overflow": "block", "block_timeout": None, "exit_timeout": 0.0}
    with _warnings_told():
        return ClientConfig.from_env(**settings)


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Show what is warned of without a line of code: it is about the user's environment."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                warn(str(warning.message))


def _in_words_of_the_command_line(error: ConfigError, settings: dict[str, Any]) -> ConfigError:
    field = error.field or ""
    if field == "api_key" and field not in settings:
        return ConfigError(f"{error}".replace("pass api_key", "give --api-key-file FILE"), field)
    flag = "--api-key-file" if field == "api_key" else _FLAGS.get(field)
    return ConfigError(f"{flag}: {error}", field) if flag and field in settings else error
