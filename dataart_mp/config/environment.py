"""Settings from the environment: DATAART_FLUSH_NUM_WORKERS=8 and the like.

An empty variable counts as unset: that is what `docker compose` makes of an unset one.
"""

import difflib
import json
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dataart_mp.config.setting import MASK
from dataart_mp.errors import ConfigError, short_repr

PREFIX = "DATAART_"
HTTP_PREFIX = "DATAART_HTTP_"
_INTERNAL_PREFIX = "DATAART_MP_"  # the package's own, between its processes

Parser = Callable[[str], Any]
"""Takes a variable's text; raises ValueError with a remedy when it makes no sense."""


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number, such as 16") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number of seconds, such as 2.5") from None


def _boolean(text: str) -> bool:
    truth = {"1": True, "true": True, "yes": True, "on": True}
    lies = {"0": False, "false": False, "no": False, "off": False}
    try:
        return {**truth, **lies}[text.lower()]
    except KeyError:
        raise ValueError("must be 1, true, yes, on, 0, false, no or off") from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text).items())
    except (ValueError, AttributeError):
        raise ValueError('must be a JSON object, such as {"X-Team": "ads"}') from None


CLIENT_PARSERS: Mapping[str, Parser] = {
    "api_key": str,
    "base_url": str,
    "flush_buffer_size": _whole,
    "flush_num_workers": _whole,
    "flush_num_processes": _whole,
    "flush_num_retries": _whole,
    "flush_backoff_ratio": _number,
    "backoff": str,
    "backoff_jitter": _boolean,
    "delivery_timeout": _number,
    "flush_actions_batch_size": _whole,
    "flush_max_batch_size": _whole,
    "flush_interval": _number,
    "max_request_bytes": _whole,
    "overflow": str,
    "block_timeout": _number,
    "spool_dir": str,
    "spool_max_bytes": _whole,
    "spool_overflow": str,
    "exit_timeout": _number,
    "pool_factory": str,
}
HTTP_PARSERS: Mapping[str, Parser] = {
    "connect_timeout": _number,
    "read_timeout": _number,
    "proxy": str,
    "ca_file": str,
    "client_cert": str,
    "client_key": str,
    "client_key_password": str,
    "headers": _json_object,
    "compression": str,
    "trust_env": _boolean,
}
_SECRETS = {"api_key", "proxy", "base_url", "client_key_password", "headers"}


def variable(prefix: str, field: str) -> str:
    """Name the variable of a field: DATAART_ and the field in capitals."""
    return prefix + field.upper()


def read(
    environ: Mapping[str, str],
    prefix: str,
    parsers: Mapping[str, Parser],
    overridden: Collection[str] = (),
) -> dict[str, Any]:
    """Read the fields that the environment sets.

    Args:
        environ: Names and texts, as `os.environ`.
        prefix: What the variables' names begin with.
        parsers: The fields to look for, and how to read each.
        overridden: Fields not to read, because an argument gives them.

    Returns:
        The value of each field whose variable is set.

    Raises:
        ConfigError: A text makes no sense; the message names the variable.
    """
    return {
        field: _parse(variable(prefix, field), field, environ[variable(prefix, field)], parser)
        for field, parser in parsers.items()
        if field not in overridden and environ.get(variable(prefix, field))
    }


def _parse(name: str, field: str, text: str, parser: Parser) -> Any:
    try:
        return parser(text)
    except ValueError as error:
        shown = MASK if field in _SECRETS else short_repr(text)
        raise ConfigError(f"{name}={shown}: {error}", field, shown) from None


def blame_variable(error: ConfigError, prefix: str, read_fields: Collection[str]) -> ConfigError:
    """Name the variable in the error of a value that came from the environment.

    Args:
        error: What the configuration raised.
        prefix: What the variables' names begin with.
        read_fields: The fields that came from the environment.

    Returns:
        The error to raise: the same when its field came from an argument.
    """
    field = (error.field or "").partition("[")[0]
    if field not in read_fields:
        return error
    return ConfigError(f"{variable(prefix, field)}: {error}", error.field, error.shown)


def warn_of_unknown(environ: Mapping[str, str], stacklevel: int) -> None:
    """Warn of each DATAART_ variable that sets nothing, and say which one may be meant.

    Args:
        environ: Names and texts, as `os.environ`.
        stacklevel: As for `warnings.warn`, seen from here.
    """
    known = [variable(PREFIX, field) for field in CLIENT_PARSERS]
    known += [variable(HTTP_PREFIX, field) for field in HTTP_PARSERS]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_INTERNAL_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            warnings.warn(f"{name} sets nothing; {hint}", stacklevel=stacklevel + 1)
