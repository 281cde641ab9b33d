"""A part is shipped over HTTP: nothing is lost or counted twice, and the report says so."""

import json
import threading
from typing import Any

import pytest

from dataart_mp import NotDeliveredError, RejectedError, RowError, TableError
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.ship import Report, ship_iter
from tests.ship.visits import Configure, visits
from tests.support import wait_until
from tests.transport.servers import Peer, Serve

pyarrow = pytest.importorskip("pyarrow")


def assert_each_counted_once(sink: SinkProcess, count: int) -> dict[str, Any]:
    """Check what a platform that honours keys has counted; return the sink's numbers."""
    stats = sink.stats()
    assert sorted(sink.ids()) == [*range(count)]
    assert (stats["distinct_actions"], stats["unexplained_duplicates"]) == (count, 0)
    assert stats["reused_keys"] == 0
    return {**stats}


def test_the_report_has_the_numbers_of_the_sink(settings: Configure, platform: SinkProcess) -> None:
    report = ship_iter(visits(10_001), settings(), "0")
    stats = assert_each_counted_once(platform, 10_001)
    assert report == Report(rows=10_001, delivered=10_001, requests=26, parts=1)
    assert (stats["requests"], stats["actions"]) == (26, 10_001)
    counts = sorted(request["count"] for request in platform.requests())
    assert counts == [1, *[400] * 25]
    assert all(
        one["headers"]["idempotency-key"].startswith("visits-0-") for one in platform.requests()
    )


def test_requests_are_in_flight_at_the_same_time(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "hang", "times": 3})
    thread = threading.Thread(
        target=ship_iter, args=(visits(50), settings(batch_size=10, in_flight=3), "0")
    )
    thread.start()
    wait_until(lambda: platform.stats()["in_flight"] == 3)
    platform.clear_faults()
    thread.join(20)
    stats = assert_each_counted_once(platform, 50)
    assert stats["peak_in_flight"] == 3


def test_a_burst_of_503_delays_events_but_loses_none(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 7})
    report = ship_iter(visits(4000), settings(), "0")
    assert_each_counted_once(platform, 4000)
    assert (report.delivered, report.requests, report.retries) == (4000, 17, 7)
    assert report.may_repeat == 7


def test_lost_responses_are_repeated_with_the_same_keys_and_payloads(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "ack_lost", "times": 5})
    report = ship_iter(visits(4000), settings(), "0")
    stats = assert_each_counted_once(platform, 4000)
    assert 1 <= stats["repeated_requests"] <= report.may_repeat
    assert stats["repeated_requests"] == 5
    assert report.delivered == 4000


def test_batches_that_are_too_large_are_split_the_same_way_at_every_attempt(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 20_000})
    first = ship_iter(visits(4000), settings(), "0")
    again = ship_iter(visits(4000).to_batches(max_chunksize=333), settings(), "0", attempt=1)
    stats = assert_each_counted_once(platform, 4000)
    assert first.delivered == again.delivered == 4000
    assert stats["accepted_requests"] == 2 * stats["repeated_requests"]
    refused = stats["by_status"]["413"]
    assert refused < 2 * 10  # a size that was refused is remembered


def test_one_refused_event_is_rejected_and_the_others_of_its_batch_arrive(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 777}}})
    report = ship_iter(visits(1000), settings(), "p")
    assert sorted(platform.ids()) == [number for number in range(1000) if number != 777]
    assert (report.rows, report.delivered, report.rejected) == (1000, 999, 1)
    (sample,) = report.rejected_samples
    assert (sample.part, sample.status) == ("p", 400)
    assert '"_id":777' in sample.record
    assert '"_id":777' not in str(report)


def test_the_sample_of_a_rejected_event_is_whole_if_its_text_separates_lines(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 7}}})
    table = visits(10).append_column("text", pyarrow.array(["first\u2028second\x85third"] * 10))
    (sample,) = ship_iter(table, settings(), "0").rejected_samples
    assert json.loads(sample.record)["metadata"]["text"] == "first\u2028second\x85third"


def test_a_refused_event_fails_the_part_if_it_is_not_to_be_skipped(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 7}}})
    with pytest.raises(RejectedError, match=r'1 event was rejected \(status 400.*on_rejected="s'):
        ship_iter(visits(10), settings(on_rejected="fail"), "0")


def test_no_number_of_busy_responses_exhausts_the_retries(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "status", "status": 429, "retry_after": 0, "times": 20})
    report = ship_iter(visits(100), settings({"flush_num_retries": 0}), "0")
    assert_each_counted_once(platform, 100)
    assert (report.retries, report.may_repeat) == (20, 0)


def test_the_delay_that_a_busy_platform_asks_for_holds_for_all_requests(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "retry_after": 1, "times": 1})
    ship_iter(visits(40), settings(batch_size=10, in_flight=1), "0")
    first, *others = sorted(request["time"] for request in platform.requests())
    assert len(others) == 4
    assert others[0] - first >= 1.0


def test_only_delivery_timeout_ends_a_part_that_the_platform_is_too_busy_for(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "status", "status": 429})
    with pytest.raises(NotDeliveredError, match=r"delivery_timeout over \(status 429") as caught:
        ship_iter(visits(10), settings({"delivery_timeout": 0.2}), "0")
    assert caught.value.report.failed == 10


def test_a_part_that_was_not_delivered_is_shipped_again_with_the_same_keys(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults(
        {"kind": "ack_lost", "times": 2}, {"kind": "disconnect", "rate": 0.5, "seed": 1}
    )
    table, reports = visits(8000), []
    with pytest.raises(NotDeliveredError, match="400 events were not delivered: retries") as caught:
        ship_iter(table, settings({"flush_num_retries": 0}), "0")
    failed = caught.value.report
    assert failed.parts == 0
    assert failed.rows == failed.delivered + failed.failed
    platform.clear_faults()
    reports.append(ship_iter(table, settings(), "0", attempt=1))
    assert_each_counted_once(platform, 8000)
    assert (reports[0].rows, reports[0].delivered, reports[0].may_repeat) == (8000, 8000, 20)


def test_refused_connections_are_retried(settings: Configure, platform: SinkProcess) -> None:
    with SinkProcess() as sink:
        sink.kill()
        with pytest.raises(NotDeliveredError, match='no response, "NewConnectionError'):
            ship_iter(visits(10), settings({"base_url": sink.url, "flush_num_retries": 1}), "0")
        persistent = settings({"base_url": sink.url, "flush_num_retries": 50})
        reports: list[Report] = []
        thread = threading.Thread(
            target=lambda: reports.append(ship_iter(visits(1000), persistent, "0"))
        )
        thread.start()
        sink.restart()
        thread.join(30)
        assert_each_counted_once(sink, 1000)
        assert reports[0].delivered == 1000


def test_rows_in_another_order_are_lost_by_no_platform(
    settings: Configure, platform: SinkProcess
) -> None:
    """A shuffle that is computed again gives a part its rows in another order."""
    table = visits(1000)
    platform.set_faults({"kind": "status", "status": 409, "match": {"metadata": {"_id": 500}}})
    with pytest.raises(NotDeliveredError):
        ship_iter(table, settings({"flush_num_retries": 0}), "0")
    platform.clear_faults()
    shuffled = table.take(list(range(999, -1, -1)))
    report = ship_iter(shuffled, settings(event_id="event"), "0", attempt=1)
    assert report.delivered == 1000
    assert platform.stats()["reused_keys"] == 0  # else a platform would discard other events
    assert sorted(platform.ids()) == [*range(1000)]


def test_a_rate_limit_spreads_the_requests(settings: Configure, platform: SinkProcess) -> None:
    ship_iter(visits(60), settings(batch_size=10, rate_limit=20), "0")
    times = [request["time"] for request in platform.requests()]
    assert max(times) - min(times) >= 5 / 20 * 0.9


def test_an_attempt_skips_what_the_checkpoint_says_is_settled(
    settings: Configure, platform: SinkProcess, tmp_path: Any
) -> None:
    with_checkpoint = settings(checkpoint=str(tmp_path), in_flight=1)
    platform.set_faults({"kind": "refuse", "match": {"metadata": {"_id": 3900}}, "status": 409})
    with pytest.raises(NotDeliveredError) as caught:
        ship_iter(visits(4000), with_checkpoint, "0")
    assert caught.value.report.delivered == 3600
    platform.clear_faults()
    report = ship_iter(visits(4000), with_checkpoint, "0", attempt=1)
    assert (report.acknowledged, report.delivered, report.requests) == (3600, 400, 1)
    stats = assert_each_counted_once(platform, 4000)
    assert stats["actions"] == 4000
    other = ship_iter(visits(4000), with_checkpoint, "1")
    assert other.acknowledged == 0


def test_a_key_that_was_written_in_part_does_not_count(
    settings: Configure, platform: SinkProcess, tmp_path: Any
) -> None:
    with_checkpoint = settings(checkpoint=f"file://{tmp_path}")
    ship_iter(visits(10), with_checkpoint, "0")
    (file,) = tmp_path.glob("visits/0/*.keys")
    file.write_text(file.read_text().rstrip("\n"))
    assert ship_iter(visits(10), with_checkpoint, "0", attempt=1).acknowledged == 0
    assert ship_iter(visits(10), with_checkpoint, "0", attempt=2).acknowledged == 10


def test_a_bad_row_ends_the_part_or_is_counted(settings: Configure, platform: SinkProcess) -> None:
    rows = visits(1000).to_pylist()
    rows[3]["user_key"], rows[900]["page"] = None, "x" * 200_000
    table = pyarrow.Table.from_pylist(rows, visits(3).schema)
    with pytest.raises(RowError, match="part 0, row 3, column 'user_key': user_key: is missing"):
        ship_iter(table, settings(), "0")
    report = ship_iter(table, settings(on_bad_row="skip"), "0", attempt=1)
    assert (report.rows, report.delivered, report.bad_rows) == (1000, 998, 2)
    assert [(one.row, one.column) for one in report.bad_samples] == [(3, "user_key"), (900, None)]
    assert "the event takes 200," in report.bad_samples[1].problem
    assert sorted(platform.ids()) == [n for n in range(1000) if n not in (3, 900)]


def test_an_exception_of_the_source_is_raised_with_the_report_as_a_note(
    settings: Configure, platform: SinkProcess
) -> None:
    def batches() -> Any:
        yield visits(20_000)
        raise OSError("the disk of the upstream task")

    with pytest.raises(OSError, match="upstream") as caught:
        ship_iter(batches, settings(), "0")
    assert "of 20,000 rows delivered" in caught.value.__notes__[0]
    assert platform.stats()["unexplained_duplicates"] == 0


def test_an_iterator_is_refused_by_a_later_attempt(
    settings: Configure, platform: SinkProcess
) -> None:
    batches = iter(visits(10).to_batches())
    with pytest.raises(TableError, match="is an iterator, of which an earlier attempt may have"):
        ship_iter(batches, settings(), "0", attempt=1)
    with pytest.raises(TableError, match="pass a function that returns the batches"):
        ship_iter(visits(10).to_reader(), settings(), "0", attempt=1)
    assert ship_iter(lambda: batches, settings(), "0", attempt=1).delivered == 10


def test_one_request_that_fails_ends_the_others_soon(settings: Configure, serve: Serve) -> None:
    def handle(peer: Peer) -> None:
        peer.respond_to_all(503)

    server = serve(handle)
    failing = settings({"base_url": server.url, "flush_num_retries": 1}, batch_size=1)
    with pytest.raises(NotDeliveredError):
        ship_iter(visits(5000), failing, "0")
    assert len(server.requests) < 100


def test_without_a_fixed_time_a_request_has_that_of_its_last_event(
    settings: Configure, serve: Serve
) -> None:
    server = serve(lambda peer: peer.respond_to_all(200))
    for _ in range(2):
        ship_iter(visits(50), settings({"base_url": server.url}, sent_at=None, in_flight=1), "0")
    first, again = server.requests
    assert first.body.startswith(b'{"timestamp":"2020-09-13T12:26:40.049000+00:00","actions":[')
    assert (first.headers["idempotency-key"], first.body) == (
        again.headers["idempotency-key"],
        again.body,
    )
