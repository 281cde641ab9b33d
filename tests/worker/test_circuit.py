"""While an endpoint is down, one request at a time finds out whether it works again."""

from dataclasses import FrozenInstanceError

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.worker.circuit import (
    FAILURES_TO_OPEN,
    Circuit,
    Gathered,
    Permission,
    Probe,
    Send,
    Wait,
)

PAUSE = 1.0


@pytest.fixture
def frame() -> Frame:
    return Frame(RecordQueue(1, 1024).arena, 0)


def opened(at: float = 0.0, after: float = 0.0) -> Circuit:
    circuit = Circuit(PAUSE)
    for _ in range(5):
        assert circuit.is_closed
        assert circuit.on_failure(Send(), after, at) == []
    assert not circuit.is_closed
    return circuit


def test_a_closed_circuit_lets_every_frame_be_sent(frame: Frame) -> None:
    circuit = Circuit(PAUSE)
    assert circuit.acquire_permission(frame, 0.0) == Send()
    assert circuit.on_success() is None
    assert circuit.acquire_permission(frame, 1.0) == Send()


def test_only_consecutive_failures_open_a_circuit(frame: Frame) -> None:
    circuit = Circuit(PAUSE)
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            circuit.on_failure(Send(), 0.0, 0.0)
        assert circuit.on_success() is None
    assert circuit.acquire_permission(frame, 0.0) == Send()


def test_failures_of_other_workers_count() -> None:
    circuit = Circuit(PAUSE)
    circuit.on_failure(Send(), 0.0, 0.0, failures=3)
    assert circuit.is_closed
    circuit.on_failure(Send(), 0.0, 0.0, failures=2)
    assert not circuit.is_closed


def test_an_open_circuit_lets_no_frame_be_sent_before_the_pause_is_over(frame: Frame) -> None:
    circuit = opened(at=10.0)
    assert circuit.acquire_permission(frame, 10.9) == Wait(11.0)
    assert isinstance(circuit.acquire_permission(frame, 11.0), Probe)


def test_the_pause_is_at_least_what_the_platform_asks_for(frame: Frame) -> None:
    assert opened(after=40.0).acquire_permission(frame, 39.9) == Wait(40.0)


def test_a_long_backoff_does_not_lengthen_the_pause(frame: Frame) -> None:
    circuit = Circuit(3600.0)
    for _ in range(FAILURES_TO_OPEN):
        circuit.on_failure(Send(), 0.0, 0.0)
    assert circuit.acquire_permission(frame, 0.0) == Wait(2.0)


def test_a_circuit_wants_a_probe_when_the_pause_is_over_and_none_is_under_way(
    frame: Frame,
) -> None:
    assert not Circuit(PAUSE).wants_probe(0.0), "it is closed"
    circuit = opened(at=10.0)
    assert not circuit.wants_probe(10.9)
    assert circuit.wants_probe(11.0)
    probe = circuit.acquire_permission(frame, 11.0)
    assert not circuit.wants_probe(60.0)
    assert isinstance(probe, Probe)
    circuit.on_failure(probe, 0.0, 60.0)
    assert not circuit.wants_probe(60.9)
    assert circuit.wants_probe(61.0)
    circuit.on_success()
    assert not circuit.wants_probe(61.0)


def test_a_circuit_that_begins_open_wants_a_probe_at_once(frame: Frame) -> None:
    circuit = Circuit(PAUSE, is_open=True)
    assert not circuit.is_closed
    assert circuit.wants_probe(0.0)
    assert isinstance(circuit.acquire_permission(frame, 0.0), Probe)
    assert circuit.on_success() == []
    assert circuit.is_healthy


def test_one_frame_is_a_probe_and_the_others_gather_behind_it(frame: Frame) -> None:
    circuit = opened()
    probe = circuit.acquire_permission(frame, PAUSE)
    others = [Frame(frame._arena, 0) for _ in range(3)]
    assert [circuit.acquire_permission(other, PAUSE) for other in others] == [Gathered()] * 3
    assert isinstance(probe, Probe)
    assert circuit.on_failure(probe, 0.0, 5.0) == others
    assert circuit.acquire_permission(frame, 5.0) == Wait(5.0 + PAUSE)


def test_the_success_of_a_probe_closes_the_circuit_and_releases_every_frame(frame: Frame) -> None:
    circuit = opened()
    circuit.acquire_permission(frame, PAUSE)
    other = Frame(frame._arena, 0)
    circuit.acquire_permission(other, PAUSE)
    assert circuit.on_success() == [other]
    assert circuit.acquire_permission(frame, PAUSE) == Send()
    assert circuit.on_success() is None


def test_a_late_success_of_an_older_request_closes_the_circuit_too(frame: Frame) -> None:
    circuit = opened()
    assert circuit.on_success() == []
    assert circuit.acquire_permission(frame, 0.0) == Send()


def test_a_late_failure_of_an_older_request_counts_for_no_other_frame(frame: Frame) -> None:
    circuit = opened()
    probe = circuit.acquire_permission(frame, PAUSE)
    other = Frame(frame._arena, 0)
    circuit.acquire_permission(other, PAUSE)
    assert circuit.on_failure(Send(), 0.0, PAUSE) == []
    assert isinstance(probe, Probe)
    assert circuit.on_failure(probe, 0.0, PAUSE) == [other]


def test_a_probe_of_an_earlier_outage_does_not_count_for_frames_of_the_next(frame: Frame) -> None:
    circuit = opened()
    old = circuit.acquire_permission(frame, PAUSE)
    assert isinstance(old, Probe)
    circuit.on_success()  # by another request
    for _ in range(FAILURES_TO_OPEN):
        circuit.on_failure(Send(), 0.0, 2.0)
    new = circuit.acquire_permission(frame, 2.0 + PAUSE)
    other = Frame(frame._arena, 0)
    circuit.acquire_permission(other, 2.0 + PAUSE)
    assert circuit.on_failure(old, 0.0, 4.0) == []
    assert isinstance(new, Probe)
    assert circuit.on_failure(new, 0.0, 4.0) == [other]


def test_a_circuit_is_healthy_until_a_request_fails_and_again_after_a_success() -> None:
    circuit = Circuit(PAUSE)
    seen = [(circuit.is_healthy, circuit.is_closed)]
    circuit.on_failure(Send(), 0.0, 0.0)
    seen.append((circuit.is_healthy, circuit.is_closed))
    circuit.on_success()
    seen.append((circuit.is_healthy, circuit.is_closed))
    assert seen == [(True, True), (False, True), (True, True)]


def test_an_open_circuit_is_not_healthy() -> None:
    circuit = opened()
    assert (circuit.is_healthy, circuit.is_closed) == (False, False)
    circuit.on_success()
    assert (circuit.is_healthy, circuit.is_closed) == (True, True)


def test_two_probes_are_different_even_if_nothing_has_gathered_behind_them() -> None:
    assert Probe() != Probe()


@pytest.mark.parametrize("permission", [Send(), Probe(), Gathered(), Wait(1.0)])
def test_a_permission_cannot_be_changed(permission: Permission) -> None:
    assert not hasattr(permission, "__dict__")
    for name in ("gathered", "until"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(permission, name, None)
