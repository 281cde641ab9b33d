"""Of a damaged arena, the records that are readable are delivered."""

import pytest

from dataart_mp import clock
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


@pytest.mark.parametrize("boot", ["the same boot", "another boot"])
def test_the_age_of_a_batch_does_not_begin_in_the_future(boot: str) -> None:
    """Until then, it would not become older."""
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        for number in range(2):
            frame = Frame.claim(queue.arena, number)
            assert frame is not None
            frame.aim(frame.length, clock.now() - 5)
            if number:
                frame.postpone(clock.now(), clock.now())
            frame.account.since |= 1 << 62
        if boot == "another boot":
            queue.arena.words[8] ^= 1
        queue.arena.settle_in()
        assert repair(queue.arena) == (0, 0)
        for number in range(2):
            assert 0 < queue.arena.account(number).since <= clock.now()
