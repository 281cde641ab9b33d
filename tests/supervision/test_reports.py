"""Reports survive the way to the reader; what is not a report is refused with a reason."""

import json
from typing import get_args

import pytest

from dataart_mp.supervision.reports import (
    Crashed,
    Failed,
    FewThreads,
    NotKept,
    Parked,
    Recovered,
    Removed,
    Report,
    Retrying,
    Trouble,
    UnreadableReportError,
    decode,
    encode,
)

REPORTS: list[Report] = [
    Failed("rejected", False, 2, '{"key":"ü"}\n{"key":"b"}\n', 400, "bad\nkey", 2),
    Failed("spool full", True, 1, None, None, "", 0),
    Retrying(503, "down", 5.0),
    Retrying(None, "ConnectionRefusedError", 0.5),
    Recovered(),
    Parked(20, "the platform is unreachable"),
    Trouble("what is parked cannot be read"),
    NotKept(3, "No space left on device"),
    Removed(4),
    FewThreads(2, 8, "can't start new thread"),
    Crashed("Traceback:\nRuntimeError: a bug"),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
@pytest.mark.parametrize("lost", [0, 7])
def test_a_report_is_one_line_and_survives_the_way_to_the_reader(report: Report, lost: int) -> None:
    line = encode(report, lost)
    assert b"\n" not in line
    assert decode(line) == (report, lost)


def test_every_kind_of_report_is_tested() -> None:
    assert {type(report) for report in REPORTS} == {*get_args(Report)}


def test_a_field_of_a_newer_version_is_ignored() -> None:
    assert decode(b'{"report": "Removed", "lost": 0, "batches": 1, "bytes": 9}') == (Removed(1), 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"report": "Cra', "torn, because its worker died"),
        (b"\xff", "torn, because its worker died"),
        (b"5", "not a JSON object"),
        (b"{}", "unknown kind None"),
        (b'{"report": "Explodes", "lost": 0}', "unknown kind 'Explodes'"),
        (b'{"report": ["Removed"], "lost": 0}', "unknown kind ['Removed']"),
        (b'{"report": "Removed", "lost": 0}', "Removed without 'batches'"),
        (b'{"report": "Removed", "batches": 1}', "Removed without 'lost'"),
        (b'{"report": "Removed", "lost": 0, "batches": "1"}', "Removed with batches='1'"),
        (b'{"report": "Parked", "lost": 0, "count": 1, "reason": null}', "Parked with reason=None"),
    ],
)
def test_a_line_that_is_not_a_report_is_refused_with_a_reason(line: bytes, reason: str) -> None:
    with pytest.raises(UnreadableReportError) as caught:
        decode(line)
    assert str(caught.value) == reason


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_a_report_without_one_of_its_fields_is_refused_by_name(report: Report) -> None:
    message = json.loads(encode(report, 0))
    for name in message.keys() - {"report"}:
        line = json.dumps({key: value for key, value in message.items() if key != name})
        with pytest.raises(UnreadableReportError, match=f"without '{name}'"):
            decode(line.encode())
