"""What is still to be sent of a frame."""

from dataart_mp.delivery.batch import Batch, section_of
from dataart_mp.queue import Frame


def unsent(frame: Frame, key: str) -> list[Batch]:
    """Return what is still to be sent of a frame, front to back, cut as in its last attempt.

    Args:
        frame: A claimed frame.
        key: The key of all records in it.
    """
    return [_batch(frame, key, start, end) for start, end in frame.spans()]


def _batch(frame: Frame, key: str, start: int, end: int) -> Batch:
    content = frame.content(start, end)
    # What is joined to a frame may grow after a request, so the key of a group names its length.
    if start == 0 and end == frame.length and not frame.has_followers:
        return Batch(key, frame.is_identity, start, content)
    return section_of(key, frame.is_identity, start, content)
