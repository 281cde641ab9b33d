"""Reports of parts add up, and survive JSON and pickling."""

import json
import pickle

from dataart_mp import NotDeliveredError
from dataart_mp.ship import BadRow, RejectedEvent, Report

BAD = BadRow("0", 3, "user_key", "user_key: is missing")
REJECTED = RejectedEvent("0", 400, "no", '{"key":"k"}')
ONE = Report(
    rows=10,
    delivered=6,
    acknowledged=1,
    bad_rows=2,
    rejected=1,
    requests=4,
    retries=2,
    may_repeat=1,
    parts=1,
    bad_samples=(BAD,) * 6,
    rejected_samples=(REJECTED,),
)


def test_reports_of_parts_add_up() -> None:
    total = sum([ONE, ONE, ONE])
    assert isinstance(total, Report)
    assert (total.rows, total.delivered, total.acknowledged, total.parts) == (30, 18, 3, 3)
    assert (total.requests, total.retries, total.may_repeat) == (12, 6, 3)
    assert total.bad_samples == (BAD,) * 10
    assert total.rejected_samples == (REJECTED,) * 3
    assert ONE + Report() == ONE


def test_a_report_survives_json_and_pickling() -> None:
    assert Report.from_dict(json.loads(ONE.to_json())) == ONE
    assert pickle.loads(pickle.dumps(ONE)) == ONE
    copy = pickle.loads(pickle.dumps(NotDeliveredError("no", ONE)))
    assert (str(copy), copy.report) == ("no", ONE)


def test_a_report_shows_its_counts_in_one_line() -> None:
    assert str(ONE) == (
        "6 of 10 rows delivered, 1 acknowledged before, 2 bad, 1 rejected; "
        "4 requests in 1 part, 2 retries, 1 may repeat earlier ones"
    )
