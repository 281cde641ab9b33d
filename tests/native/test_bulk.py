"""`emit_actions` has the same result whether C emits the usual actions, or Python all of them."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.errors import ActionsError
from dataart_mp.producer.bulk import Bulk
from dataart_mp.protocol import Emitted
from dataart_mp.queue import RecordQueue
from tests.native.emitting import Emitter, needs_c, numbered
from tests.producer.samples import MOMENT, Text
from tests.queue.tools import claim_all, lines_of, queue_of

pytestmark = needs_c

USUAL = st.integers(0, 99).map(numbered)
UNUSUAL = st.sampled_from(
    [
        {"key": Text("k"), "user_key": "u", "timestamp": MOMENT},
        {"key": "k", "user_key": "u", "timestamp": MOMENT, "metadata": {"tags": {"a"}}},
        {"key": "k", "user_key": "u", "timestamp": MOMENT, "metadata": {"long": "x" * 9000}},
    ]
)
REFUSED = st.sampled_from(
    [
        {"key": "", "user_key": "u"},
        {"key": "k"},
        {"key": "k", "user_key": "u", "song": 1},
        {"key": "k", "user_key": "u", "metadata": {"text": "\ud800"}},
        {"key": "k", "user_key": "u", "metadata": {"large": "x" * 20000}},
        "play",
    ]
)
ACTIONS = st.lists(USUAL | USUAL | USUAL | UNUSUAL | REFUSED, max_size=60)


def emit_all(
    queue: RecordQueue, actions: list[Any], *, in_c: bool
) -> tuple[Emitted | str, list[list[bytes]]]:
    """Emit actions; return the result or the error, and the records of each frame."""
    emitter = Emitter(queue)
    emitter.emit("first", "of the frame", False, MOMENT)
    appender = queue.producer.appender
    assert appender is not None
    emit = appender.emit_actions if in_c else None
    take = partial(queue.producer.append_lines, timeout=0)
    dropped: list[int] = []
    bulk = Bulk(actions, 9, take, lambda full, count: dropped.append(count), emit)
    result: Emitted | str
    try:
        result = bulk.run()
    except ActionsError as error:
        result = f"{error} {[each.path for each in error.errors]} {error.accepted} {error.dropped}"
    queue.producer.seal()
    return result, [lines_of(frame) for frame in claim_all(queue)]


@given(ACTIONS)
def test_any_actions_have_the_same_records_frames_and_errors(actions: list[Any]) -> None:
    with queue_of(64, 16384, records=9) as of_c, queue_of(64, 16384, records=9) as of_python:
        in_c, in_python = (
            emit_all(of_c, actions, in_c=True),
            emit_all(of_python, actions, in_c=False),
        )
    assert in_c == in_python


@pytest.mark.parametrize("count", [10, 50, 600])
def test_a_full_buffer_takes_as_many_actions_and_drops_the_others(count: int) -> None:
    actions = [numbered(number) for number in range(count)]
    with queue_of(2, 4096, records=9) as of_c, queue_of(2, 4096, records=9) as of_python:
        in_c, in_python = (
            emit_all(of_c, actions, in_c=True),
            emit_all(of_python, actions, in_c=False),
        )
    assert in_c == in_python
    assert in_c[0] == Emitted(count, max(0, count - 17))
