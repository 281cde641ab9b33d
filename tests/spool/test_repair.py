"""Of a damaged arena, the records that are readable are delivered."""

import pytest

from dataart_mp.queue import Frame
from dataart_mp.queue.arena import COUNT, FOLLOWERS, JOINED_LENGTH, JOINING, KIND, LENGTH
from dataart_mp.spool.repair import repair
from tests.queue.tools import assert_clean, drain, put_eight, queue_of


@pytest.mark.parametrize("word", [COUNT, LENGTH, KIND, FOLLOWERS])
def test_joined_frames_with_a_damaged_account_are_sent_by_their_content(word: int) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = Frame.claim(queue.arena, 0)
        assert leader is not None
        queue.join_ready(leader, records=6, size=64)
        leader.hand_back()
        assert repair(queue.arena) == 0, "nothing is damaged"
        queue.arena.words[queue.arena.account(0) + word] = 0 if word == FOLLOWERS else 1 << 60
        assert repair(queue.arena) == 3, "the leader and its followers"
        assert set(drain(queue)) == set(range(8))
        assert_clean(queue)


@pytest.mark.parametrize("word", [JOINING, JOINED_LENGTH])
def test_a_frame_with_a_damaged_joining_word_harms_no_other(word: int) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        account = queue.arena.account(0)
        queue.arena.words[account + JOINING], queue.arena.words[account + JOINED_LENGTH] = 2, 32
        queue.arena.words[account + word] = 1 << 40
        assert repair(queue.arena) == 1
        assert sorted(drain(queue)) == [*range(8)]
        assert_clean(queue)
