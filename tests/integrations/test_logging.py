"""Log records become actions, and logging never blocks, raises or recurses because of it."""

import logging
import logging.config
import multiprocessing
import os
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp import Client, ClientConfig, context
from dataart_mp.config.hooks import Event
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.integrations.logging import DataArtHandler
from dataart_mp.testing import RecordingClient
from tests.client.tools import TINY
from tests.support import Configure, wait_until


@pytest.fixture
def client() -> RecordingClient:
    return RecordingClient()


@pytest.fixture
def logger() -> logging.Logger:
    """A logger without the handlers of pytest, which raise what a handler must not raise."""
    return logging.Logger("shop.cart", logging.DEBUG)


def attach(logger: logging.Logger, client: Any, **options: Any) -> DataArtHandler:
    handler = DataArtHandler(client, **options)
    logger.addHandler(handler)
    return handler


def test_a_record_becomes_an_action(client: RecordingClient, logger: logging.Logger) -> None:
    attach(logger, client)
    before = datetime.now(UTC)
    logger.warning("%d items of %s", 3, "ann")
    action = client.assert_emitted(
        "log-record",
        user_key=socket.gethostname(),
        is_anonymous_user=True,
        metadata={"message": "3 items of ann", "level": "WARNING", "logger": "shop.cart"},
    )
    assert action is not None
    assert before <= action.timestamp <= datetime.now(UTC)


def test_an_exception_is_its_traceback(client: RecordingClient, logger: logging.Logger) -> None:
    attach(logger, client)
    try:
        dict[str, int]()["song"]
    except KeyError:
        logger.exception("failed")
    metadata: Any = client.actions[0].metadata
    assert metadata["exception"].startswith("Traceback (most recent call last):")
    assert metadata["exception"].endswith("KeyError: 'song'")
    assert metadata["message"] == "failed"
    logger.error("no exception is there", exc_info=True)
    assert "exception" not in (client.actions[1].metadata or {})


def test_keys_and_metadata_can_depend_on_the_record(
    client: RecordingClient, logger: logging.Logger
) -> None:
    attach(
        logger,
        client,
        key=lambda record: f"log-{record.levelname.lower()}",
        user_key=lambda record: record.name,
        metadata=lambda record: {"line": record.lineno},
    )
    with context.bind(request_id="r1"):
        logger.info("hello")
    client.assert_emitted(
        "log-info",
        user_key="shop.cart",
        is_anonymous_user=False,
        metadata__contains={"message": "hello", "request_id": "r1"},
    )
    assert isinstance((client.actions[0].metadata or {})["line"], int)


def test_a_record_may_name_its_user(client: RecordingClient, logger: logging.Logger) -> None:
    attach(logger, client, key="log")
    logger.info("hello", extra={"user_key": "ann"})
    client.assert_emitted("log", user_key="ann", is_anonymous_user=False)


def test_levels_filters_and_formatters_apply(
    client: RecordingClient, logger: logging.Logger
) -> None:
    handler = attach(logger, client, level=logging.WARNING)
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger.info("too low")
    logger.warning("a secret")
    logger.warning("shown")
    assert [(action.metadata or {})["message"] for action in client.actions] == ["[WARNING] shown"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters cannot replace a record before")
def test_a_filter_may_replace_the_record(client: RecordingClient, logger: logging.Logger) -> None:
    handler = attach(logger, client)
    other = logging.makeLogRecord({"msg": "another", "name": "shop"})
    handler.addFilter(lambda record: other)  # type: ignore[arg-type,return-value]
    logger.info("hello")
    client.assert_emitted("log-record", metadata__contains={"message": "another"}, times=1)


def test_a_long_message_loses_its_middle(client: RecordingClient, logger: logging.Logger) -> None:
    attach(logger, client)
    logger.info("a" * 500_000 + "z")
    message = (client.actions[0].metadata or {})["message"]
    assert len(message) < 17_000
    assert message[:9000].startswith("aaaa")
    assert " … " in message
    assert message.endswith("az")


def test_a_client_whose_calls_must_be_awaited_is_refused() -> None:
    class Asynchronous:
        async def emit_action(self, *_: object) -> bool:
            return True

    with pytest.raises(TypeError, match="pass a Client"):
        DataArtHandler(Asynchronous())  # type: ignore[arg-type]


# It never raises


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("unprintable")


def test_a_record_that_cannot_be_shipped_raises_nothing_and_is_reported(
    client: RecordingClient, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(logger, client, metadata=lambda record: {"raw": b"\0"})
    logger.info("%s", "a")
    logger.info("%s", Unprintable())
    logger.info("%d items", "three")
    assert client.actions == []
    shown = capsys.readouterr().err
    assert shown.count("--- Logging error ---") == 3
    assert "metadata.raw: bytes" in shown


def test_records_after_the_end_of_the_client_are_ignored(
    client: RecordingClient, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(logger, client)
    client.close()
    logger.info("too late")
    assert capsys.readouterr().err == ""


# It never recurses


def test_our_own_loggers_are_ignored(client: RecordingClient) -> None:
    root = logging.getLogger()
    handler = attach(root, client, level=logging.WARNING)
    try:
        logging.getLogger("dataart_mp").error("buffer full")
        logging.getLogger("dataart_mp.part").error("buffer full")
        logging.getLogger("dataart_mp_other").error("another package")
    finally:
        root.removeHandler(handler)
    loggers = [(action.metadata or {})["logger"] for action in client.actions]
    assert loggers == ["dataart_mp_other"]


def test_what_a_hook_logs_while_a_record_is_shipped_is_not_shipped(
    logger: logging.Logger,
) -> None:
    def log(event: Event) -> Event:
        logger.info("before_send sees %s", event["key"])
        return event

    client = RecordingClient(ClientConfig("key", before_send=log))
    attach(logger, client)
    logger.info("hello")
    client.emit_action("play", "ann")  # the hook logs, the record is shipped, and its hook refused
    messages = [(action.metadata or {}).get("message") for action in client.actions]
    assert messages == ["hello", None]


# It never blocks


def test_a_full_buffer_drops_records_at_once_whatever_overflow_says(
    config: Configure, sink: SinkProcess, logger: logging.Logger
) -> None:
    sink.set_faults({"kind": "hang"})
    with Client(config(overflow="block", **TINY)) as client:
        attach(logger, client)
        logger.info("the first record starts the workers")
        started = time.monotonic()
        for number in range(1000):
            logger.info("record %d", number)
        assert time.monotonic() - started < 2.0
        stats = client.stats()
        assert stats.accepted == 1001
        assert stats.dropped["buffer full"] > 900
        assert stats.balanced
        sink.clear_faults()
        assert client.flush(30) == 0


def test_records_of_threads_and_forked_children_arrive(
    config: Configure, sink: SinkProcess, logger: logging.Logger
) -> None:
    with Client(config()) as client:
        attach(logger, client, user_key="ann")

        def log() -> None:
            for _ in range(50):
                logger.info("from %d", os.getpid())

        child = multiprocessing.get_context("fork").Process(target=log)
        child.start()
        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        child.join()
        wait_until(lambda: client.stats().pending == 0)  # of the child, too
    messages = [event["metadata"]["message"] for event in sink.events(key="log-record")]
    assert messages.count(f"from {os.getpid()}") == 200
    assert messages.count(f"from {child.pid}") == 50


def test_a_handler_works_from_a_configuration_dict_and_at_shutdown(
    client: RecordingClient,
) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "dataart": {
                    "class": "dataart_mp.integrations.logging.DataArtHandler",
                    "client": client,
                    "level": "ERROR",
                }
            },
            "loggers": {"shop.configured": {"handlers": ["dataart"]}},
        }
    )
    logger = logging.getLogger("shop.configured")
    logger.error("hello")
    assert len(client.actions) == 1
    logging.shutdown([lambda handler=logger.handlers[0]: handler])
