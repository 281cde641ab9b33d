"""A signal that was ignored when a command started stays ignored."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import SCRIPT, without_progress

ACTION = b'{"key":"play","user_key":"u%d"}\n'


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_ship_in_the_background_reads_its_whole_input(
    sink: SinkProcess, env: dict[str, str], name: str
) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["sh", "-c", f'trap "" {name}; exec "$@"', "sh", SCRIPT, "ship", "-"],
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**env, "DATAART_FLUSH_INTERVAL": "0.1"},
    )
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        stream.write(ACTION % 0)
        sink.wait_for(lambda stats: stats["actions"] == 1)
        process.send_signal(signal.Signals[f"SIG{name}"])
        stream.write(ACTION % 1)
        sink.wait_for(lambda stats: stats["actions"] == 2)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, without_progress(errors)) == (0, b"")
    assert output.startswith(b"Delivered 2 of 2 events")


def test_the_sink_of_a_background_job_ignores_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", SCRIPT, "sink", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"Listening on ")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, b"")


def test_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
