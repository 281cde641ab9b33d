"""When the application closes the descriptors of a client, what was emitted before is delivered."""

from pathlib import Path

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.support import SCRIPT, App

CLOSE_ALL = (
    SCRIPT
    + """
import logging, threading
from dataart_mp.producer.housekeeping import Housekeeping
from dataart_mp.queue.arena import FILLING

logging.basicConfig(format="%(message)s")

# While the housekeeping thread lists the spool, the directory is open. If its descriptor were
# closed at that moment, the thread would then close the file that got the number. No library can
# prevent that, so the descriptors are closed while the thread waits.
at_work = threading.Lock()
check, wait = Housekeeping._check, Housekeeping._wait

def check_at_work(self):
    with at_work:
        check(self)

def wait_at_rest(self, *arguments):
    at_work.release()
    try:
        wait(self, *arguments)
    finally:
        at_work.acquire()

Housekeeping._check, Housekeeping._wait = check_at_work, wait_at_rest

client = Client(
    ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2] or None, flush_interval=60)
)
count = int(sys.argv[3])
for number in range(count):
    client.emit_action("tick", "ann", metadata={"_id": number})
while count and not workers_of(client):
    time.sleep(0.01)
with at_work:
    os.closerange(3, 256)
    files = [os.open(__file__, os.O_RDONLY) for _ in range(60)]  # they get the numbers
deadline = time.monotonic() + 20
while any("housekeeping" in thread.name for thread in threading.enumerate()):
    assert time.monotonic() < deadline, "the thread continues"
    time.sleep(0.01)
assert not client._engine.queue.arena.all_in(FILLING), "all is sealed, not only at the exit"
assert not any(os.lseek(fd, 0, os.SEEK_CUR) for fd in files), "nothing has read from them"
assert time.process_time() < 5, "no thread is busy"
"""
)


@pytest.mark.parametrize(
    ("with_spool", "emits"),
    [(False, True), (True, True), (True, False)],
    ids=["no spool", "spool", "spool and no event"],
)
def test_the_loss_is_logged_once_and_open_frames_are_delivered(
    app: App, sink: SinkProcess, spool: Path, with_spool: bool, emits: bool
) -> None:
    spool.mkdir(mode=0o700, exist_ok=True)
    ended = app(CLOSE_ALL, sink.url, spool if with_spool else "", 3 if emits else 0)
    lines = [line for line in ended.stderr.splitlines() if "descriptors" in line]
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("descriptors of the client were closed by the application;")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0
    if emits:
        sink.wait_for(lambda stats: stats["actions"] >= 3)
        assert set(sink.ids()) == {0, 1, 2}


def test_close_does_not_raise_after_the_descriptors_were_closed(
    app: App, sink: SinkProcess
) -> None:
    ended = app(CLOSE_ALL + "\nclient.close(5)\nprint('closed')\n", sink.url, "", 3)
    assert ended.stdout == "closed\n", ended.stderr
    assert "Traceback" not in ended.stderr
