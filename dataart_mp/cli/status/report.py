"""What `status` shows of clients and spools, as text and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.observer.client_view import Look
from dataart_mp.observer.processes import name_of
from dataart_mp.observer.spool_view import SpoolLook
from dataart_mp.stats import Stats

_RATES: Final = ("accepted", "delivered", "requests", "bytes")
_WIDTH: Final = 80
_INDENT: Final = " " * 13
_ALIVE: Final = {True: "alive", False: "ended", None: "perhaps ended"}


@dataclass(frozen=True)
class Report:
    """What was found in one look, compared with the one before.

    Attributes:
        clients: The clients.
        spools: Their spools.
        problems: What could not be read.
        before: The clients in the look before, for the rates; empty after the first look.
    """

    clients: Sequence[Look]
    spools: Sequence[SpoolLook] = ()
    problems: Sequence[str] = ()
    before: Sequence[Look] = field(default=(), repr=False)

    @property
    def exit_code(self) -> ExitCode:
        """OK if everything is; else NOT_DELIVERED."""
        is_ok = all(look.health.is_ok for look in self.clients)
        is_ok = is_ok and all(spool.is_ok for spool in self.spools) and not self.problems
        return ExitCode.OK if is_ok else ExitCode.NOT_DELIVERED

    def rates(self, look: Look) -> dict[str, float] | None:
        """Return how much of each a client does in a second; None after the first look."""
        earlier = next((each for each in self.before if each.id == look.id), None)
        if earlier is None or look.at <= earlier.at:
            return None
        seconds = look.at - earlier.at
        return {
            name: round((getattr(look.stats, name) - getattr(earlier.stats, name)) / seconds, 1)
            for name in _RATES
        }

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "exit_code": int(self.exit_code),
            "clients": [
                {**look.as_json(), "rates_per_second": self.rates(look)} for look in self.clients
            ],
            "spools": [spool.as_json() for spool in self.spools],
            "problems": list(self.problems),
        }

    def __str__(self) -> str:
        """Show a paragraph for each client, and one for each spool."""
        parts = ["\n".join(self._client(look)) for look in self.clients]
        parts += ["\n".join(_spool(spool)) for spool in self.spools]
        parts += list(self.problems)
        return "\n\n".join(parts) if parts else "No client is running."

    def _client(self, look: Look) -> Iterator[str]:
        stats = look.stats
        yield f"client {look.id[:8]}  {_ALIVE[look.is_alive]}{_processes(look)}"
        yield from _row("health", str(look.health))
        yield from _row("balance", str(stats).partition(" | ")[0])
        rates = self.rates(look)
        if rates is not None:
            names = ("accepted", "delivered", "requests")
            yield from _row("per second", ", ".join(f"{name} {rates[name]:,.0f}" for name in names))
        if stats.oldest_pending_seconds is not None:
            yield from _row("oldest", f"{stats.oldest_pending_seconds:,.1f} s")
        frames = [f"{count:,} {state}" for state, count in look.frames.items() if count]
        yield from _row("frames", ", ".join(frames))
        yield from _row("workers", _workers(stats))
        yield from _row("circuit", _circuit(stats))
        if stats.last_error is not None:
            yield from _row("last error", f"{_time(stats.last_error_at)}: {stats.last_error}")
        if look.path is not None:
            yield from _row("buffer", str(look.path))


def _spool(spool: SpoolLook) -> Iterator[str]:
    yield f"spool {spool.directory}"
    if spool.error is not None:
        yield from _row("parked", spool.error)
    elif not spool.parked:
        yield from _row("parked", "nothing")
    else:
        requests = _count(spool.parked_requests, "request")
        yield from _row(
            "parked",
            f"{_count(spool.parked, 'event')} in {requests}, since {_time(spool.parked_since)}",
        )
    if spool.letters:
        letters = _count(spool.letters, "request")
        yield from _row("dead", f"{letters} failed permanently: dataart-mp spool ls")


def _processes(look: Look) -> str:
    named = [f"{pid} {name_of(pid)}".strip() for pid in look.applications]
    text = f"  process {', '.join(named)}" if named else ""
    return f"{text}  workers {', '.join(map(str, look.workers))}" if look.workers else text


def _workers(stats: Stats) -> str:
    limit = f", at most {stats.concurrency} at present" if stats.concurrency else ""
    return f"{stats.workers} alive, {_count(stats.in_flight, 'request')} in flight{limit}"


def _circuit(stats: Stats) -> str:
    since = "" if stats.circuit_since is None else f" since {_time(stats.circuit_since)}"
    text = f"{stats.circuit}{since}"
    if stats.failing_since is not None:
        text += f"; requests fail since {_time(stats.failing_since)}"
    return text


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _row(name: str, text: str) -> Iterator[str]:
    """Yield the lines of one row, none of which is wider than 80 columns if it has spaces."""
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {name:<{len(_INDENT) - 2}}",
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from lines
