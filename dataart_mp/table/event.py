"""The events of rows: what a user did (an action), or who a user is (an identity)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Action(NamedTuple):
    """What a user did: the arguments of `emit_action`, which checks their values."""

    key: str
    user_key: str
    is_anonymous_user: bool = False
    timestamp: datetime | str | None = None
    metadata: Mapping[str, Any] | None = None


class Identity(NamedTuple):
    """Who a user is: the arguments of `identify`, which checks their values."""

    user_key: str
    metadata: Mapping[str, Any] | None = None
