"""The syncer: brings what was stored to an arena to the disk."""

import logging
import mmap
import sys
from typing import TYPE_CHECKING

from dataart_mp.queue import disk
from dataart_mp.queue.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("dataart_mp")


class Syncer:
    """Brings to the disk what all processes have stored to one mapping; for any thread.

    Args:
        file: The file that is mapped.
        memory: The mapping.

    Attributes:
        report: Called with a text when the disk begins to fail, and when it works again.
    """

    def __init__(self, file: Descriptor, memory: mmap.mmap) -> None:
        self._file = file
        self._memory = memory
        self._is_failing = False
        self.report: Callable[[str], object] = _log.error

    def sync(self) -> bool:
        """Wait until everything that was stored before the call is on the disk.

        Other threads continue meanwhile.

        Returns:
            False when the disk has failed. This is reported, and events are sent all the same.
        """
        try:
            self._sync()
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                self.report(f"spool_sync: events cannot be written to the disk: {error.strerror}")
            return False
        if self._is_failing:
            self._is_failing = False
            self.report("spool_sync: events are written to the disk again")
        return True

    def _sync(self) -> None:
        is_intact = self._file.is_intact()
        if sys.platform != "linux" or not is_intact:
            # Linux writes what is mapped with the file; others do so only if they are asked to. And
            # the mapping remains when the application has closed the descriptor.
            self._memory.flush()
        if is_intact:
            disk.sync_content(self._file.number)
