"""Settings from environment variables, such as DATAART_FLUSH_NUM_WORKERS=8.

An empty variable counts as unset: `docker compose` makes an unset variable empty.
"""

import json
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from dataart_mp import native
from dataart_mp.config.setting import MASK, settings_of
from dataart_mp.errors import ConfigError, short_repr

PREFIX = "DATAART_"
HTTP_PREFIX = "DATAART_HTTP_"
_INTERNAL_PREFIX = "DATAART_MP_"  # used by the package between its processes


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of a client, which may be secret.

    What is left of this package's variables is the choice between C and Python.
    """
    return {
        name: text
        for name, text in environ.items()
        if not name.startswith(PREFIX) or name == native.VARIABLE
    }


def integer(text: str) -> int:
    """Parse a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number, such as 16") from None


def number(text: str) -> float:
    """Parse a number of seconds."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number of seconds, such as 2.5") from None


def truth(text: str) -> bool:
    """Parse the words for true and false, in any case."""
    true = {"1": True, "true": True, "yes": True, "on": True}
    false = {"0": False, "false": False, "no": False, "off": False}
    try:
        return {**true, **false}[text.lower()]
    except KeyError:
        raise ValueError("must be 1, true, yes, on, 0, false, no or off") from None


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object."""
    try:
        return dict(json.loads(text).items())
    except (ValueError, AttributeError):
        raise ValueError('must be a JSON object, such as {"X-Team": "ads"}') from None


def variable(prefix: str, field: str) -> str:
    """Return the name of a field's variable: the prefix and the field in capitals."""
    return prefix + field.upper()


def read(
    environ: Mapping[str, str], prefix: str, cls: type, overridden: Collection[str] = ()
) -> dict[str, Any]:
    """Read the fields of a configuration that the environment sets.

    Args:
        environ: Names and texts, as `os.environ`.
        prefix: The prefix of the variables' names.
        cls: The class of the configuration.
        overridden: Fields that are not read, because an argument sets them.

    Returns:
        The value of each field whose variable is set, not checked yet.

    Raises:
        ConfigError: A text cannot be parsed; the message names the variable.
    """
    found = {}
    for field, setting in settings_of(cls).items():
        name = variable(prefix, field)
        text = environ.get(name)
        if text and setting.parse is not None and field not in overridden:
            try:
                found[field] = setting.parse(text)
            except ValueError as error:
                shown = MASK if setting.is_secret else short_repr(text)
                raise ConfigError(f"{name}={shown}: {error}", field, shown) from None
    return found


def blame_variable(error: ConfigError, prefix: str, read_fields: Collection[str]) -> ConfigError:
    """Return an error that names the variable which a refused value came from.

    Args:
        error: The error that the configuration raised.
        prefix: The prefix of the variables' names.
        read_fields: The fields that came from the environment.

    Returns:
        The error to raise: the same one if its field came from an argument.
    """
    field = (error.field or "").partition("[")[0]
    if field not in read_fields:
        return error
    return ConfigError(f"{variable(prefix, field)}: {error}", error.field, error.shown)


def warn_of_unknown(
    environ: Mapping[str, str], classes: Mapping[str, type], stacklevel: int
) -> None:
    """Warn about each DATAART_ variable that sets nothing, and suggest the one that was meant.

    Args:
        environ: Names and texts, as `os.environ`.
        classes: The classes whose fields have variables, by the prefix of the variables' names.
        stacklevel: As for `warnings.warn`, seen from the caller.
    """
    known = [
        variable(prefix, field)
        for prefix, cls in classes.items()
        for field, setting in settings_of(cls).items()
        if setting.parse is not None
    ]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_INTERNAL_PREFIX) and name not in known:
            import difflib  # takes 200 KB, and only a mistake needs it

            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            warnings.warn(f"{name} sets nothing; {hint}", stacklevel=stacklevel + 1)
