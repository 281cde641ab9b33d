"""The fields of actions, identities and the bodies that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dataart_mp.devsink.http.rejection import Problem, rejection, shown
from dataart_mp.devsink.protocol.field import BOOLEAN, Field, Schema, object_schema
from dataart_mp.devsink.protocol.timestamp import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MISSING: Final = object()


def _text_problem(value: object) -> str | None:
    if type(value) is not str:
        return f"must be a string, not {shown(value)}"
    return None if value else "must not be empty"


def _list_problem(value: object) -> str | None:
    if type(value) is not list:
        return f"must be an array, not {shown(value)}"
    return None if value else "must not be empty"


def _metadata_problem(value: object) -> str | None:
    if value is None or type(value) is dict:
        return None
    return f"must be an object or null, not {shown(value)}"


class _Shape:
    """The fields of an object, all of them required, and no others."""

    def __init__(self, **fields: Field) -> None:
        self.schema = object_schema(fields)
        self._problems = {name: field.problem for name, field in fields.items()}

    def check(self, value: object) -> Sequence[Problem]:
        """Return a problem for each field that is wrong."""
        if type(value) is not dict:
            return [Problem("", f"must be an object, not {shown(value)}")]
        for name, problem_of in self._problems.items():
            if problem_of(value.get(name, _MISSING)) is not None:
                return self._all(value)
        return () if len(value) == len(self._problems) else self._all(value)

    def _all(self, value: dict[str, object]) -> list[Problem]:
        found = []
        for name, problem_of in self._problems.items():
            problem = problem_of(value.get(name, _MISSING))
            if problem is not None:
                found.append(Problem(name, problem if name in value else "is missing"))
        unknown = sorted(value.keys() - self._problems.keys())
        found += [Problem(shown(name)[1:-1], "is unknown to the protocol") for name in unknown]
        return found


_TEXT: Final = Field({"type": "string", "minLength": 1}, _text_problem)
_METADATA: Final = Field({"type": ["object", "null"]}, _metadata_problem)
_ACTION: Final = _Shape(
    key=_TEXT,
    user_key=_TEXT,
    is_anonymous_user=BOOLEAN,
    timestamp=TIMESTAMP,
    metadata=_METADATA,
)
_ACTIONS: Final = _Shape(
    timestamp=TIMESTAMP,
    actions=Field(
        {"type": "array", "items": {"$ref": "#/components/schemas/Action"}, "minItems": 1},
        _list_problem,
    ),
)
_IDENTITY: Final = _Shape(user_key=_TEXT, metadata=_METADATA)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Action": _ACTION.schema,
    "Actions": _ACTIONS.schema,
    "Identity": _IDENTITY.schema,
}


def actions_of(content: Any) -> list[dict[str, Any]]:
    """Return the actions in a body of `events/send-actions`.

    Raises:
        RejectionError: A field is wrong; the error has the paths of all that are.
    """
    found = list(_ACTIONS.check(content))
    listed = content.get("actions") if type(content) is dict else None
    actions: list[dict[str, Any]] = listed if type(listed) is list else []
    for index, action in enumerate(actions):
        if problems := _ACTION.check(action):
            found += [problem.within(f"actions[{index}]") for problem in problems]
    if found:
        raise rejection(found)
    return actions


def identities_of(content: Any) -> list[dict[str, Any]]:
    """Return the one identity in a body of `users/identify`, as a list.

    Raises:
        RejectionError: A field is wrong; the error has the paths of all that are.
    """
    if found := _IDENTITY.check(content):
        raise rejection(found)
    return [content]
