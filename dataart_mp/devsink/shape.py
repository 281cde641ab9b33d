"""What the protocol says about the inside of a body: fields, types, values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dataart_mp.devsink.moment import moment_problem
from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Says what keeps a value from being right; None if it is right.
    Check = Callable[[object], str | None]

_MISSING: Final = object()


def _text_problem(value: object) -> str | None:
    if type(value) is not str:
        return f"must be a string, not {shown(value)}"
    return None if value else "must not be empty"


def _boolean_problem(value: object) -> str | None:
    return None if type(value) is bool else f"must be true or false, not {shown(value)}"


def _metadata_problem(value: object) -> str | None:
    if value is None or type(value) is dict:
        return None
    return f"must be an object or null, not {shown(value)}"


def _list_problem(value: object) -> str | None:
    if type(value) is not list:
        return f"must be an array, not {shown(value)}"
    return None if value else "must not be empty"


_ACTION: Mapping[str, Check] = {
    "key": _text_problem,
    "user_key": _text_problem,
    "is_anonymous_user": _boolean_problem,
    "timestamp": moment_problem,
    "metadata": _metadata_problem,
}
_ACTIONS: Mapping[str, Check] = {"timestamp": moment_problem, "actions": _list_problem}
_IDENTITY: Mapping[str, Check] = {"user_key": _text_problem, "metadata": _metadata_problem}


def actions_of(content: Any) -> list[dict[str, Any]]:
    """The actions in a body of `events/send-actions`.

    Raises:
        RejectionError: With the path of the first field that is wrong.
    """
    _check(content, _ACTIONS)
    actions: list[dict[str, Any]] = content["actions"]
    for index, action in enumerate(actions):
        try:
            _check(action, _ACTION)
        except RejectionError as error:
            raise error.within(f"actions[{index}]") from None
    return actions


def identities_of(content: Any) -> list[dict[str, Any]]:
    """The one identity in a body of `users/identify`.

    Raises:
        RejectionError: With the path of the first field that is wrong.
    """
    _check(content, _IDENTITY)
    return [content]


def _check(value: object, fields: Mapping[str, Check]) -> None:
    if type(value) is not dict:
        raise RejectionError("", f"must be an object, not {shown(value)}")
    for name, check in fields.items():
        problem = check(value.get(name, _MISSING))
        if problem is not None:
            raise RejectionError(name, problem if name in value else "is missing")
    if len(value) != len(fields):
        unknown = sorted(value.keys() - fields.keys())
        raise RejectionError(shown(unknown[0])[1:-1], "is unknown to the protocol")
