"""A descriptor that the application has closed is never written to, read from or closed again."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataart_mp import DescriptorsClosedError
from dataart_mp.queue import RecordQueue
from tests.queue.internals import READY, Descriptor, WakeupPipe
from tests.queue.tools import audit, in_a_child, queue_of, record

CONTENT = b"of the application\n"


@contextlib.contextmanager
def files_with_the_numbers(numbers: list[int], folder: Path) -> Iterator[list[Path]]:
    """Close descriptors, and give their numbers to files; see afterwards that these are intact."""
    paths = []
    for number in numbers:
        os.close(number)
    for number in sorted(numbers):
        paths.append(folder / f"file {number}")
        paths[-1].write_bytes(CONTENT)
        fd = os.open(paths[-1], os.O_RDWR)
        if fd != number:
            os.dup2(fd, number)
            os.close(fd)
    yield paths
    for number, path in zip(sorted(numbers), paths, strict=True):
        assert path.read_bytes() == CONTENT
        assert os.lseek(number, 0, os.SEEK_CUR) == 0, "nothing was read from it"
        os.close(number)  # fails when something has closed it


def numbers_of(queue: RecordQueue) -> list[int]:
    """The queue's descriptors, without those that its mapping has."""
    pipes = (queue.work.read_fd, queue.work.write_fd, queue.room.read_fd, queue.room.write_fd)
    return [queue.arena.fd, queue.arena.lock_fd, *pipes]


def test_a_descriptor_is_intact_until_its_number_is_closed_or_used_again(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    descriptor = Descriptor(number)
    assert descriptor.is_intact()
    os.close(number)
    assert not descriptor.is_intact()
    assert os.open("/", os.O_RDONLY) == number
    assert not descriptor.is_intact()
    descriptor.close()
    os.close(number)  # it was not closed with the descriptor


def test_a_descriptor_is_lost_when_another_one_gets_its_number() -> None:
    read_fd, write_fd = os.pipe()
    first = Descriptor(write_fd)
    os.close(read_fd)
    os.close(write_fd)
    again = os.pipe()
    assert write_fd in again
    second = Descriptor(write_fd)
    assert not first.is_intact()
    assert second.is_intact()
    first.close()
    for fd in again:
        os.close(fd)


def test_a_closed_descriptor_may_be_closed_again() -> None:
    read_fd, write_fd = os.pipe()
    for descriptor in (Descriptor(read_fd), Descriptor(write_fd)):
        descriptor.close()
        assert descriptor.number == -1
        descriptor.close()


def test_a_notification_is_not_written_to_a_file_of_the_application(tmp_path: Path) -> None:
    pipe = WakeupPipe.make()
    with files_with_the_numbers([pipe.read_fd, pipe.write_fd], tmp_path):
        assert not pipe.notify(7)
        assert pipe.wait_at_most(0.01) is None
        assert not pipe.has_notifications()
        pipe.drain()
        pipe.close()


def test_no_frame_is_opened_without_the_lock_file(tmp_path: Path) -> None:
    queue = RecordQueue(4, 64)
    with files_with_the_numbers(numbers_of(queue), tmp_path):
        with pytest.raises(DescriptorsClosedError, match="create the client after"):
            queue.put(record(0))
        assert queue.stats().accepted == 0
        queue.close()


def test_records_of_an_open_frame_are_sealed_without_descriptors(tmp_path: Path) -> None:
    """And delivered by other processes, which have their own descriptors."""
    with queue_of(records=3) as queue:

        def emit() -> None:
            queue.producer.append(record(0))
            with files_with_the_numbers(numbers_of(queue), tmp_path):
                queue.producer.append(record(1))
                assert queue.producer.flush(0.1) == 2
                with pytest.raises(DescriptorsClosedError):
                    queue.producer.append(record(2))
                queue.close()

        assert in_a_child(emit) == 0
        assert queue.arena.all_in(READY) == [0]
        assert audit(queue) == [0, 1]


def test_a_full_frame_is_sealed_without_descriptors(tmp_path: Path) -> None:
    with queue_of(records=2) as queue:

        def emit() -> None:
            queue.producer.append(record(0))
            with files_with_the_numbers(numbers_of(queue), tmp_path):
                queue.producer.append(record(1))
                assert queue.arena.all_in(READY) == [0]

        assert in_a_child(emit) == 0
        assert audit(queue) == [0, 1]


def test_the_mapping_of_a_closed_queue_closes_no_file_of_the_application(tmp_path: Path) -> None:
    """Python's `mmap` has a duplicate of the descriptor, and closes its number blindly."""

    def close_all_and_reopen() -> None:
        queue = RecordQueue(1, 64)
        os.closerange(3, 256)
        files = [os.open(tmp_path / str(n), os.O_CREAT | os.O_RDWR) for n in range(30)]
        queue.close()
        del queue
        for fd in files:
            os.close(fd)

    assert in_a_child(close_all_and_reopen) == 0
