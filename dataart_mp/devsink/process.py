"""A sink in a separate process, for tests and the demo."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import urlencode

from dataart_mp.devsink.log import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from dataart_mp.devsink.stats import SinkStats

_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_API_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
# The largest limit that the API accepts.
_NO_LIMIT: Final = "999999999"


class SinkError(RuntimeError):
    """The sink did not start or stop, is down, or responded with an error."""


class SinkProcess:
    """A sink in a child process, and a client of its control API; a context manager.

        with SinkProcess() as sink:
            ...  # ship to sink.url
            sink.wait_for(lambda stats: stats["actions"] == 100)

    The sink stops at the end of the block, and when the process that started it ends or is killed.

    Args:
        options: Further command line options: `"--keep", "10"`.
        api_key: The only accepted X-API-Key; None: any that is not empty.
        port: Port to listen on, also after a restart; 0: any free port.
        journal: File from which a restarted sink restores its counts; None: it starts from zero.
    """

    def __init__(
        self,
        *options: str,
        api_key: str | None = None,
        port: int = 0,
        journal: Path | str | None = None,
    ) -> None:
        self._options = list(options)
        if api_key is not None:
            self._options += ["--api-key", api_key]
        if journal is not None:
            self._options += ["--journal", str(journal)]
        self._port = port
        self._reservation: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._starter = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except SinkError:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        place = f"port {self._port}" if self._port else "not started"
        return f"<SinkProcess {place} | {'down' if self._child is None else f'pid {self.pid}'}>"

    @property
    def url(self) -> str:
        """The base URL for a client, `http://127.0.0.1:41234`; a restart does not change it."""
        if not self._port:
            raise SinkError("the sink was not started; call start() first")
        return f"http://{_HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the running sink."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What the sink has written to standard error since its start; usually nothing."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def start(self) -> None:
        """Start the sink and wait until it listens.

        Raises:
            SinkError: The sink is already running, or does not start; with its standard error.
        """
        if self._child is not None:
            raise SinkError("the sink is already running")
        self._reserve_port()
        self._starter = os.getpid()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
        self._child = self._launch(
            ["--until-eof", "--host", _HOST, "--port", str(self._port), *self._options], self._log
        )
        if not self._is_ready(self._child):
            log = self.log
            self.kill()
            raise SinkError(f"the sink did not start: {log.strip() or 'its log is empty'}")

    def stop(self) -> None:
        """Stop the sink with SIGTERM; does nothing if it is down.

        Raises:
            SinkError: The sink did not stop in time and was killed.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the sink with SIGKILL; does nothing if it is down."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start the sink on the same port; a journal or database restores its counts."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the sink and release its port."""
        try:
            self.stop()
        finally:
            if self._reservation is not None:
                self._reservation.close()
                self._reservation = None

    def stats(self) -> SinkStats:
        """Return the counts since the start or the last reset."""
        return cast("SinkStats", self._call("GET", "stats"))

    def events(
        self,
        key: str | None = None,
        user_key: str | None = None,
        id: str | int | None = None,  # noqa: A002 - the name in the API
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the kept actions that match, oldest first; with a limit only the newest."""
        return self._items("events", key=key, user_key=user_key, id=id, limit=limit)

    def identities(
        self, user_key: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the kept identities that match, oldest first; with a limit only the newest."""
        return self._items("identities", user_key=user_key, limit=limit)

    def ids(self) -> dict[str | int, int]:
        """Return how often each value of the id field arrived."""
        return dict(self._call("GET", "ids")["ids"])

    def requests(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the kept requests, oldest first, with time, headers, status, fault and so on."""
        return self._items("requests", limit=limit)

    def rejected(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the kept wrong requests, oldest first, with all errors and the body."""
        return self._items("rejected", limit=limit)

    def set_faults(self, *rules: Mapping[str, Any]) -> None:
        """Replace all fault rules with these: `{"kind": "status", "status": 503}`."""
        self._call("PUT", "faults", list(rules))

    def add_faults(self, *rules: Mapping[str, Any]) -> None:
        """Append these fault rules to the ones in force."""
        self._call("POST", "faults", list(rules))

    def faults(self) -> list[dict[str, Any]]:
        """Return the fault rules in force, with how often each has `fired`."""
        return self._items("faults")

    def clear_faults(self) -> None:
        """Remove all fault rules; requests that hang are disconnected."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Delete all counts, items and fault rules; requests that hang are disconnected."""
        self._call("POST", "reset")

    def wait_for(self, condition: Callable[[SinkStats], bool], timeout: float = 30.0) -> SinkStats:
        """Wait until the stats meet a condition, and return them.

        Args:
            condition: Called with the stats until it returns True.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: The condition was not met in time; the message has the last stats.
        """
        deadline = time.monotonic() + timeout
        while not condition(stats := self.stats()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"condition not met in {timeout} s; the stats are {stats}")
            time.sleep(_POLL_SECONDS)
        return stats

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise SinkError("the sink is down")
        return self._child

    def _reserve_port(self) -> None:
        """Bind the port without listening, so that it stays reserved while the sink is down.

        Otherwise the kernel may assign it to an outgoing connection, even to that of a client
        that tries to reach the sink, which would then be connected to itself.
        """
        if self._reservation is None:
            self._reservation = socket.socket()
            self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reservation.bind((_HOST, self._port))
            self._port = self._reservation.getsockname()[1]

    def _launch(self, options: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the process of the sink with these options; its standard error goes to `log`."""
        return subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-m", "dataart_mp.devsink", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C in a terminal stops the test run, which then stops its sinks.
            start_new_session=True,
        )

    @staticmethod
    def _is_ready(child: subprocess.Popen[bytes]) -> bool:
        """Wait for the line with the URL; return False if there is none in time."""
        if child.stdout is None:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            return bool(selector.select(_READY_SECONDS)) and bool(child.stdout.readline())

    def _end(self, number: signal.Signals) -> None:
        # A forked child that leaves the block must not stop its parent's sink.
        if self._child is None or self._starter != os.getpid():
            return
        child, self._child = self._child, None
        child.send_signal(number)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise SinkError(f"the sink did not stop in {_STOP_SECONDS} s: {self.log}") from None
        finally:
            for stream in (child.stdin, child.stdout, self._log):
                if stream is not None:
                    stream.close()
            self._log = None

    def _items(self, name: str, **params: object) -> list[dict[str, Any]]:
        given = {field: str(value) for field, value in params.items() if value is not None}
        if "limit" in params:
            given.setdefault("limit", _NO_LIMIT)
        query = f"?{urlencode(given)}" if given else ""
        items: list[dict[str, Any]] = self._call("GET", name + query)[name]
        return items

    def _call(self, method: str, path: str, content: object = None) -> Any:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_API_SECONDS)
        body = None if content is None else json.dumps(content)
        try:
            connection.request(method, f"/_sink/{path}", body)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise SinkError(f"{self!r} is unreachable: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            problem = printable(text.decode(errors="replace"))
            raise SinkError(f"{method} {printable(path)}: {response.status} {problem}")
        return json.loads(text)
