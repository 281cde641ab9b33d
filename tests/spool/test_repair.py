"""Of a damaged arena, the records that are readable are delivered."""

import pytest

from dataart_mp.queue import Frame
from dataart_mp.spool.repair import repair
from tests.queue.tools import assert_clean, drain, put_eight, queue_of


@pytest.mark.parametrize("word", ["count", "length", "kind", "followers"])
def test_joined_frames_with_a_damaged_account_are_sent_by_their_content(word: str) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = Frame.claim(queue.arena, 0)
        assert leader is not None
        queue.worker.join_ready(leader, records=6, size=64)
        queue.worker.hand_back(leader)
        assert repair(queue.arena).frames == 0, "nothing is damaged"
        setattr(queue.arena.account(0), word, 0 if word == "followers" else 1 << 60)
        assert repair(queue.arena).frames == 3, "the leader and its followers"
        assert set(drain(queue)) == set(range(8))
        assert_clean(queue)


@pytest.mark.parametrize("word", ["joining", "joined_length"])
def test_a_frame_with_a_damaged_joining_word_harms_no_other(word: str) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        account = queue.arena.account(0)
        account.joining, account.joined_length = 2, 32
        setattr(account, word, 1 << 40)
        assert repair(queue.arena).frames == 1
        assert sorted(drain(queue)) == [*range(8)]
        assert_clean(queue)
