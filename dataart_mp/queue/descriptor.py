"""A descriptor: a file descriptor that is trusted only while it leads to its own file.

A program that becomes a daemon closes all descriptors, and the next `open` gives one of our numbers
to a file of the application. To write, to lock or to close there would be wrong. Device and inode
say which file a number leads to, but asking for them (`fstat`) costs as much as taking a lock. So
there is a cheaper question for the path of an event:

    a number of ours ──► our open file description, marked          intact
                    └──► another description, which has no mark     lost
    another descriptor of ours gets the same number                 the first one is lost

The mark is a signal number (`F_SETSIG`, Linux). It has no effect on a description that does not
send signals (O_ASYNC), as ours do not.
"""

import fcntl
import os
import signal
import sys
import weakref
from typing import Final

_UNKNOWN: Final = (0, 0)
# Looked up once: a descriptor is checked three times for each frame.
_fcntl: Final = fcntl.fcntl
if sys.platform == "linux":
    _GETSIG: Final = fcntl.F_GETSIG
    _MARK: Final = int(signal.SIGRTMAX) - 3


class Descriptor:
    """One descriptor of this process.

    Args:
        number: The descriptor; this object closes it.

    Attributes:
        number: The same; -1 when it is closed.
        is_lost: Whether it is known that the number leads to another file, or to none.
    """

    __slots__ = ("__weakref__", "_file", "is_lost", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._file = _file_of(number)
        self.is_lost = False
        before = _by_number.get(number)
        if before is not None and before._file != self._file:
            before.is_lost = True
        _by_number[number] = self
        if sys.platform == "linux":
            _fcntl(number, fcntl.F_SETSIG, _MARK)

    if sys.platform == "linux":

        def is_intact(self) -> bool:
            """Return whether the number still leads to the file that it led to at first."""
            try:
                return not self.is_lost and _fcntl(self.number, _GETSIG) == _MARK
            except (OSError, ValueError):  # nothing has the number; or it is closed
                return False

    else:

        def is_intact(self) -> bool:
            """Return whether the number still leads to the file that it led to at first."""
            return not self.is_lost and _file_of(self.number) == self._file

    def close(self) -> None:
        """Close it, unless its number belongs to another file now. A second call does nothing."""
        is_intact = not self.is_lost and _file_of(self.number) == self._file
        # Forgotten in one step, right before it is closed: no other call, and no call after an
        # interrupted one, may close the number again when it belongs to another file.
        number, self.number = self.number, -1
        if is_intact and number >= 0:
            os.close(number)


def _file_of(number: int) -> tuple[int, int]:
    """Return device and inode of the file that a number leads to."""
    try:
        status = os.fstat(number)
    except OSError:
        return _UNKNOWN
    return status.st_dev, status.st_ino


_by_number: Final[weakref.WeakValueDictionary[int, Descriptor]] = weakref.WeakValueDictionary()
