"""The metrics of clients and spools in the text format of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from dataart_mp.health import Health
from dataart_mp.metrics import METRICS
from dataart_mp.observer.client_view import Look
from dataart_mp.observer.spool_view import SpoolLook

_LEVELS: Final = {"ok": 0, "degraded": 1, "failing": 2}


def metrics(clients: Iterable[Look], spools: Iterable[SpoolLook]) -> str:
    """Return the metrics, without a final line break.

    Args:
        clients: The clients; each has the label `client`, the id of its arena.
        spools: The spools; each has the label `spool`, its directory.
    """
    return "\n".join([*_clients(list(clients)), *_spools(list(spools))])


def _clients(looks: list[Look]) -> Iterator[str]:
    for metric in METRICS:
        samples = [
            ({**_labels(look), **metric.labels(label)}, number)
            for look in looks
            for label, number in metric.values(look.stats)
        ]
        suffix = "_total" if metric.kind == "counter" else ""
        yield from _family(metric.name + suffix, metric.kind, metric.text, samples)
    yield from _family(
        "dataart_mp_frames",
        "gauge",
        "Frames of the buffer by state.",
        [
            ({**_labels(look), "state": state}, count)
            for look in looks
            for state, count in look.frames.items()
        ],
    )
    yield from _family(
        "dataart_mp_alive",
        "gauge",
        "1 if a process uses the client, 0 if all have ended.",
        [(_labels(look), int(look.is_alive)) for look in looks if look.is_alive is not None],
    )
    yield from _family(
        "dataart_mp_health",
        "gauge",
        "0 ok, 1 degraded, 2 failing.",
        [(_labels(look), _level(look.health)) for look in looks],
    )


def _spools(spools: list[SpoolLook]) -> Iterator[str]:
    readable = [spool for spool in spools if spool.error is None]
    families = {
        "dataart_mp_spool_parked": ("Events parked in the spool, of all clients.", "parked"),
        "dataart_mp_spool_parked_bytes": ("Bytes of parked events.", "parked_bytes"),
        "dataart_mp_spool_dead_letter_requests": (
            "Requests whose events are kept as dead letters.",
            "letters",
        ),
    }
    for name, (text, field) in families.items():
        samples = [({"spool": str(spool.directory)}, getattr(spool, field)) for spool in readable]
        yield from _family(name, "gauge", text, samples)


def _family(
    name: str, kind: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value}"


def _labels(look: Look) -> dict[str, str]:
    labels = {"client": look.id}
    return labels if look.path is None else {**labels, "spool": str(look.path.parent)}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _level(health: Health) -> int:
    return _LEVELS[health.status]
