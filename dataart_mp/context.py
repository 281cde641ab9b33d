"""Metadata for all actions of a context, such as a request: bind it once, where it is known.

    from dataart_mp import context

    with context.bind(request_id="r-17", tenant="acme"):
        client.emit_action("page-viewed", "ann")  # its metadata has request_id and tenant

It works as `structlog.contextvars` does: what is bound belongs to the current thread or asyncio
task (see `contextvars`). A task has what its creator had bound; a thread begins with nothing. What
the call passes as metadata takes precedence, then comes what is bound, then `default_metadata`.

Identities get none of it, because it describes actions and not users.

All clients of the process use it, from the first `bind` on. Until then, it costs nothing.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from dataart_mp.producer import bound as _bound
from dataart_mp.producer.plain import to_sendable as _to_sendable

__all__ = ["Binding", "bind", "bound", "clear", "unbind"]


class Binding:
    """What a call of `bind` has bound; at the end of a `with` block, it is undone.

    The names of the call then have the values that they had before it. Other names are unaffected.
    """

    def __init__(self, names: tuple[str, ...], before: Mapping[str, Any]) -> None:
        self._names = names
        self._before = {name: before[name] for name in names if name in before}

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        rest = {name: value for name, value in bound().items() if name not in self._names}
        _bound.replace({**rest, **self._before})


def bind(**metadata: Any) -> Binding:
    """Add metadata to all actions that are emitted from now on, in the current context.

    Args:
        **metadata: Values that metadata may have. They are copied: later changes have no effect.

    Returns:
        A context manager that undoes this call. Without `with`, the values remain bound until
        `unbind` or `clear`, or the end of the context.

    Raises:
        EventError: A value cannot be sent; the message names it.
    """
    values = {name: _to_sendable(name, value) for name, value in metadata.items()}
    before = _bound.current()
    _bound.replace({**before, **values})
    return Binding(tuple(values), before)


def unbind(*names: str) -> None:
    """Remove metadata from the current context. Names that are not bound are ignored."""
    rest = {name: value for name, value in bound().items() if name not in names}
    _bound.replace(rest)


def clear() -> None:
    """Remove all metadata from the current context, for example at the start of a request."""
    _bound.replace({})


def bound() -> dict[str, Any]:
    """Return a copy of the metadata that is bound in the current context."""
    return dict(_bound.current())
