"""The kinds of items that a client sends, and the path of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["actions", "identities"]

KINDS: Final[Mapping[str, Kind]] = {
    "/events/send-actions": "actions",
    "/users/identify": "identities",
}


def kind_of(path: str) -> Kind | None:
    """Return the kind of items sent to a path, whatever prefix the base URL has; None: unknown."""
    for ending, kind in KINDS.items():
        if path.endswith(ending) and "//" not in path:
            return kind
    return None
