"""A `Failure` describes itself on one line, without the content of events."""

import pickle

from dataart_mp.failure import Failure

ACTION = {"key": "signup", "user_key": "ann", "metadata": {"mail": "ann@example.org"}}


def test_a_failure_reads_as_one_line() -> None:
    failure = Failure(
        reason="rejected", kind="action", records=(ACTION,), status=422, answer="bad key"
    )
    assert str(failure) == "1 action rejected after 1 attempt: status 422, 'bad key'"


def test_a_failure_without_a_response_says_so() -> None:
    failure = Failure(
        reason="retries exhausted",
        kind="identity",
        records=({"user_key": "ann"}, {"user_key": "bob"}),
        answer="connection refused",
        attempts=4,
    )
    expected = "2 identities retries exhausted after 4 attempts: no answer, 'connection refused'"
    assert str(failure) == expected


def test_the_line_does_not_show_the_content_of_events() -> None:
    failure = Failure(reason="rejected", kind="action", records=(ACTION,), status=400)
    assert "ann" not in str(failure)


def test_a_failure_survives_pickling() -> None:
    failure = Failure(reason="rejected", kind="action", records=(ACTION,), status=400)
    assert pickle.loads(pickle.dumps(failure)) == failure
