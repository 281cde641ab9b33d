"""The log shows an outage in few lines, from its start to the delivery of its last record."""

import itertools

from dataart_mp.producer.outage_log import FIRST_INTERVAL_SECONDS, Backlog, OutageLog

PROBLEM = "status 503, 'down'"
FAILING = Backlog(pending=1_200, oldest=61.0, parked=400, delivered=7, is_failing=True)
WORKING = Backlog(pending=1_200, oldest=96.0, parked=400, delivered=7)


def begun(now: float = 100.0) -> OutageLog:
    log = OutageLog("platform:80")
    assert log.failed(PROBLEM, 5.0, FAILING, now) is not None
    return log


def test_nothing_is_due_while_delivery_works() -> None:
    assert OutageLog().due(0.0) is None


def test_the_start_names_the_host_the_response_and_the_next_attempt() -> None:
    line = OutageLog("platform:80").failed(PROBLEM, 5.0, FAILING, 100.0)
    assert line == "delivery to platform:80 fails (status 503, 'down'); trying again in 5.0 s"
    assert OutageLog().failed(PROBLEM, None, FAILING, 100.0) == f"delivery fails ({PROBLEM})"


def test_further_failures_of_any_worker_cause_no_line() -> None:
    log = begun()
    for second in range(101, 130):
        assert log.failed(PROBLEM, 5.0, FAILING, float(second)) is None
        assert log.look(FAILING, float(second)) is None


def test_failures_do_not_change_when_it_is_looked_what_waits() -> None:
    log = begun(0.0)
    for second in (1.0, 2.0, 4.0):
        log.failed(PROBLEM, 5.0, Backlog(), second)
        assert log.due(second) == 5.0 - second
    assert log.due(5.5) == 0.0
    log.look(FAILING, 5.5)
    assert log.due(5.5) == 5.0


def test_what_waits_is_logged_at_growing_intervals() -> None:
    log = begun(0.0)
    moments: list[float] = []
    now = 0.0
    while len(moments) < 8:
        due = log.due(now)
        assert due is not None
        assert 0 < due <= 5
        now += due
        line = log.look(FAILING, now)
        if line is not None:
            moments.append(now)
            latest = line
    assert moments == [30, 90, 210, 450, 930, 1530, 2130, 2730]
    assert latest == (
        "delivery to platform:80 has been failing for 2,730 s (status 503, 'down'): "
        "1,200 records pending, the oldest for 61 s, and 400 parked"
    )


def test_nothing_is_said_to_fail_while_nothing_waits() -> None:
    log = begun(0.0)
    assert log.look(Backlog(is_failing=True), 30.0) is None
    assert log.look(FAILING, 89.0) is None
    assert log.look(FAILING, 90.0) is not None


def test_the_interval_line_shows_the_latest_response() -> None:
    log = begun(0.0)
    log.failed("no answer, 'refused'", 5.0, FAILING, 10.0)
    line = log.look(Backlog(pending=1, is_failing=True), 30.0)
    assert line == (
        "delivery to platform:80 has been failing for 30 s (no answer, 'refused'): 1 record pending"
    )


def test_the_end_says_how_long_it_was_and_what_is_left() -> None:
    log = begun()
    assert log.succeeded(WORKING, 195.0) == (
        "delivery to platform:80 works again after 95 s; "
        "1,200 records pending and 400 records parked are sent now"
    )
    assert log.due(195.0) == 1.0


def test_the_last_line_says_what_became_of_the_records() -> None:
    log = begun()
    log.succeeded(WORKING, 195.0)
    assert log.look(Backlog(pending=3, oldest=2.0, parked=100, delivered=9), 196.0) is None
    assert log.look(Backlog(pending=3, oldest=2.5, delivered=99), 197.0) is None, "it is older"
    line = log.look(Backlog(pending=3, oldest=0.5, delivered=1_600, failed=7), 198.0)
    assert line == (
        "the records of the outage are sent: 1,593 delivered, 0 rejected, 7 failed since it began"
    )
    assert log.due(198.0) is None


def test_an_outage_that_left_nothing_has_no_further_line() -> None:
    log = begun()
    assert log.succeeded(Backlog(), 195.0) == "delivery to platform:80 works again after 95 s"
    assert log.due(195.0) is None


def test_a_success_of_one_endpoint_does_not_end_the_outage_of_the_other() -> None:
    log = begun()
    assert log.succeeded(FAILING, 110.0) is None
    assert log.due(110.0) is not None
    assert log.succeeded(WORKING, 120.0) is not None


def test_an_end_that_no_worker_has_reported_is_noticed() -> None:
    log = begun()
    assert log.look(FAILING, 105.0) is None
    line = log.look(Backlog(delivered=8), 110.0)
    assert line == "delivery to platform:80 works again after 10 s"


def test_a_refusal_of_events_is_an_end_that_no_worker_has_reported() -> None:
    for rejected, is_end in ((2, False), (3, True)):
        log = OutageLog()
        log.failed(PROBLEM, None, Backlog(delivered=7, rejected=2, is_failing=True), 100.0)
        line = log.look(Backlog(delivered=7, rejected=rejected), 110.0)
        assert (line is not None) is is_end


def test_nothing_is_said_to_work_that_nobody_knows_of_any_more() -> None:
    """The workers that had failed have ended, as those of a client that died do."""
    log = begun()
    assert log.look(Backlog(parked=1_600, delivered=7), 110.0) is None
    assert not log.is_in_progress
    assert log.due(110.0) is None
    assert log.failed(PROBLEM, None, FAILING, 140.0) is not None


def test_a_success_without_an_outage_has_no_line() -> None:
    assert OutageLog().succeeded(WORKING, 1.0) is None


def test_a_platform_that_fails_now_and_then_causes_two_lines_per_interval() -> None:
    log = OutageLog()
    lines = []
    for second in itertools.takewhile(lambda second: second < 300, itertools.count()):
        lines += [log.failed(PROBLEM, 5.0, Backlog(is_failing=True), float(second))]
        lines += [log.succeeded(Backlog(), second + 0.5)]
    assert len([line for line in lines if line]) == 2 * 300 / FIRST_INTERVAL_SECONDS


def test_an_outage_soon_after_another_one_is_logged_when_it_lasts() -> None:
    log = begun()
    log.succeeded(Backlog(), 105.0)
    assert log.failed(PROBLEM, 5.0, FAILING, 106.0) is None
    assert log.look(FAILING, 136.0) is not None
    assert log.succeeded(Backlog(), 140.0) is not None, "its end is logged, too"


def test_a_second_outage_before_the_records_are_sent_counts_from_the_first_one() -> None:
    log = begun()
    log.succeeded(WORKING, 195.0)
    log.failed(PROBLEM, 5.0, Backlog(delivered=500, is_failing=True), 196.0)
    log.succeeded(Backlog(parked=1, delivered=500), 300.0)
    line = log.look(Backlog(delivered=1_007), 301.0)
    assert line is not None
    assert "1,000 delivered" in line


def test_the_end_of_the_client_during_an_outage_is_logged() -> None:
    log = begun()
    assert log.closed(FAILING, 160.0) == (
        "the client ends while delivery to platform:80 has been failing for 60 s: "
        "1,200 records pending, the oldest for 61 s, and 400 parked"
    )
    assert OutageLog().closed(FAILING, 160.0) is None
