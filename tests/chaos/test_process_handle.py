"""Which process a handle stands for."""

from tests.chaos.process_handle import ProcessHandle


def test_the_last_holder_of_an_arena_is_spared_also_if_it_was_seen_while_it_started() -> None:
    starting = ProcessHandle(839, 7, "starting worker")
    holders = {ProcessHandle(412, 5, "producer"), ProcessHandle(839, 7, "worker")}
    holders.discard(ProcessHandle(412, 5, "producer"))
    assert holders <= {starting}


def test_a_process_with_the_same_id_that_started_later_is_another_one() -> None:
    assert ProcessHandle(839, 7, "worker") != ProcessHandle(839, 8, "worker")
