"""Requests begin at the rate that is permitted, and not while the platform asks for a pause."""

from dataart_mp.delivery.pace import Pace


def test_without_a_rate_every_request_begins_at_once() -> None:
    pace = Pace()
    assert [pace.take_turn(now) for now in (-7.0, 0.0, 0.0, 5.0)] == [0.0] * 4


def test_requests_begin_at_the_rate() -> None:
    pace = Pace(rate=4)
    assert [pace.take_turn(10.0) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert pace.take_turn(10.5) == 0.5
    assert pace.take_turn(60.0) == 0.0
    assert pace.take_turn(60.0) == 0.25


def test_a_pause_delays_all_requests_and_a_shorter_one_does_not_end_it() -> None:
    pace = Pace()
    pace.pause(until=8.0)
    pace.pause(until=3.0)
    assert [pace.take_turn(now) for now in (2.0, 7.5, 8.0, 9.0)] == [6.0, 0.5, 0.0, 0.0]
    pace = Pace(rate=2)
    pace.pause(until=8.0)
    assert [pace.take_turn(7.0) for _ in range(3)] == [1.0, 1.5, 2.0]
