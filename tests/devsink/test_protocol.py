"""The sink accepts what the wire protocol allows, and nothing else."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.devsink import SinkProcess
from dataart_mp.devsink.http.body import decode_body
from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.protocol.payload import parse_payload
from dataart_mp.devsink.protocol.timestamp import timestamp_problem
from tests.devsink.poster import ACTIONS, IDENTITIES, Poster, action, actions, identity, raw_head

MIB = 1024 * 1024


def without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in item.items() if field != name}


# Valid requests


@pytest.mark.parametrize(
    "timestamp",
    [
        "2021-05-04T10:11:12.123456789+02:00",
        "2021-05-04T10:11:12.1-11:30",
        "2021-05-04T10:11:12+00:00",
        "2021-05-04T10:11:12Z",
        "2024-02-29T23:59:59.999999+14:00",
    ],
)
def test_timestamps_of_the_official_clients_are_accepted(
    sink: SinkProcess, poster: Poster, timestamp: str
) -> None:
    body = {"timestamp": timestamp, "actions": [action(timestamp=timestamp)]}
    assert poster.post(body).status == 200
    assert sink.stats()["actions"] == 1


@pytest.mark.parametrize("metadata", [None, {}, {"": ""}, {"a": [{"b": [1, 2.5, None, True]}]}])
def test_any_object_or_null_is_accepted_as_metadata(poster: Poster, metadata: object) -> None:
    assert poster.post(actions(action(metadata=metadata))).status == 200
    assert poster.post(identity(metadata=metadata), IDENTITIES).status == 200


@pytest.mark.parametrize("prefix", ["", "/prefix", "/a/b%20c/v1"])
def test_any_path_prefix_is_accepted(sink: SinkProcess, poster: Poster, prefix: str) -> None:
    assert poster.post(actions(action()), prefix + ACTIONS).status == 200
    assert poster.post(identity(), prefix + IDENTITIES).status == 200
    assert sink.stats()["accepted_requests"] == 2


def test_a_chunked_body_is_accepted(sink: SinkProcess, poster: Poster) -> None:
    body = json.dumps(actions(action(), action())).encode()
    response = poster.post(None, chunks=[body[:10], body[10:70], body[70:]])
    assert (response.status, response.json()) == (200, {"accepted": 2})
    assert sink.stats()["bytes"] == len(body)


def test_a_gzip_body_is_accepted_and_its_bytes_are_counted_as_sent(
    sink: SinkProcess, poster: Poster
) -> None:
    body = gzip.compress(json.dumps(actions(*(action() for _ in range(100)))).encode())
    assert poster.post(body, headers={"Content-Encoding": "gzip"}).status == 200
    stats = sink.stats()
    assert (stats["actions"], stats["bytes"]) == (100, len(body))


def test_a_zstd_body_is_accepted_if_python_can_read_it(sink: SinkProcess, poster: Poster) -> None:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    zstd = pytest.importorskip(name, reason=f"Python reads zstd only with {name}")
    body = zstd.compress(json.dumps(actions(action(), action())).encode())
    assert poster.post(body, headers={"Content-Encoding": "zstd"}).status == 200
    assert poster.post(body[:-1], headers={"Content-Encoding": "zstd"}).status == 400
    assert poster.post(b"plain", headers={"Content-Encoding": "zstd"}).status == 400
    assert poster.post(body + b"x", headers={"Content-Encoding": "zstd"}).status == 400
    assert sink.stats()["actions"] == 2


@pytest.mark.parametrize("charset", ["; charset=utf-8", ";charset=UTF-8"])
def test_a_utf_8_charset_is_accepted(poster: Poster, charset: str) -> None:
    response = poster.post(
        actions(action()), headers={"Content-Type": f"application/json{charset}"}
    )
    assert response.status == 200


# Wrong bodies

WRONG_ACTIONS: list[tuple[Any, str, str]] = [
    (actions(action(key="")), "actions[0].key", "must not be empty"),
    (actions(action(key=7)), "actions[0].key", "must be a string, not 7"),
    (actions(action(user_key="")), "actions[0].user_key", "must not be empty"),
    (actions(action(user_key=None)), "actions[0].user_key", "must be a string, not None"),
    (actions(action(is_anonymous_user=0)), "actions[0].is_anonymous_user", "true or false"),
    (actions(action(is_anonymous_user="no")), "actions[0].is_anonymous_user", "true or false"),
    (actions(action(metadata=[])), "actions[0].metadata", "an object or null, not []"),
    (actions(action(metadata="")), "actions[0].metadata", "an object or null, not ''"),
    (actions(action(timestamp=1620115872)), "actions[0].timestamp", "a string like"),
    (actions(action(timestamp=None)), "actions[0].timestamp", "a string like"),
    (actions(action(more=1)), "actions[0].more", "unknown"),
    (actions(action(), action(), action(key="")), "actions[2].key", "must not be empty"),
    (actions(action(), "departure"), "actions[1]", "must be an object, not 'departure'"),
    (actions(None), "actions[0]", "must be an object"),
    (actions(), "actions", "must not be empty"),
    ({**actions(action()), "actions": {}}, "actions", "must be an array, not {}"),
    ({**actions(action()), "timestamp": "now"}, "timestamp", "is not RFC 3339"),
    ({**actions(action()), "sent_by": "me"}, "sent_by", "unknown"),
    (without(actions(action()), "timestamp"), "timestamp", "is missing"),
    (without(actions(action()), "actions"), "actions", "is missing"),
    ([action()], "body", "must be an object"),
    (None, "body", "must be an object, not None"),
    (identity(), "timestamp", "is missing"),
    *(
        (actions(without(action(), name)), f"actions[0].{name}", "is missing")
        for name in ("key", "user_key", "is_anonymous_user", "timestamp", "metadata")
    ),
]
WRONG_IDENTITIES: list[tuple[Any, str, str]] = [
    (identity(user_key=""), "user_key", "must not be empty"),
    (identity(user_key=1), "user_key", "must be a string"),
    (identity(metadata=1), "metadata", "an object or null"),
    (identity(timestamp="2021-05-04T10:11:12Z"), "timestamp", "unknown"),
    (without(identity(), "user_key"), "user_key", "is missing"),
    (without(identity(), "metadata"), "metadata", "is missing"),
    ([identity()], "body", "must be an object"),
    (actions(action()), "user_key", "is missing"),
]


@pytest.mark.parametrize(
    ("path", "body", "field", "problem"),
    [(ACTIONS, *case) for case in WRONG_ACTIONS]
    + [(IDENTITIES, *case) for case in WRONG_IDENTITIES],
)
def test_a_wrong_body_is_a_400_that_names_the_field_and_counts_nothing(
    sink: SinkProcess, poster: Poster, path: str, body: object, field: str, problem: str
) -> None:
    response = poster.post(body, path)
    assert response.status == 400
    assert response.json()["field"] == field
    assert response.json()["error"].startswith(f"{field}: ")
    assert problem in response.json()["error"]
    stats = sink.stats()
    assert (stats["rejected_requests"], stats["actions"], stats["identities"]) == (1, 0, 0)
    [rejected] = sink.rejected()
    assert (rejected["field"], rejected["status"], rejected["path"]) == (field, 400, path)


def test_a_rejection_lists_every_wrong_field(sink: SinkProcess, poster: Poster) -> None:
    wrong = action(key="", timestamp="now", more=1)
    body = {"actions": [action(), wrong, without(action(), "metadata"), None]}
    response = poster.post(body)
    [rejected] = sink.rejected()
    fields = [
        "timestamp",
        "actions[1].key",
        "actions[1].timestamp",
        "actions[1].more",
        "actions[2].metadata",
        "actions[3]",
    ]
    assert [error["field"] for error in rejected["errors"]] == fields
    assert [error["field"] for error in response.json()["errors"]] == fields
    assert rejected["errors"][4]["problem"] == "is missing"
    assert rejected["more_errors"] == 0
    assert json.loads(rejected["body"]) == body


def test_of_many_wrong_fields_the_first_are_listed(sink: SinkProcess, poster: Poster) -> None:
    response = poster.post(actions(*(action(key="") for _ in range(1000))))
    assert (len(response.json()["errors"]), response.json()["more_errors"]) == (10, 990)
    [rejected] = sink.rejected()
    assert (len(rejected["errors"]), rejected["more_errors"]) == (100, 900)


def test_a_rejection_lists_every_wrong_header(poster: Poster) -> None:
    headers = {"X-API-Key": None, "Content-Type": "text/plain", "Idempotency-Key": "a b"}
    response = poster.post(actions(action()), headers=headers)
    assert response.status == 401
    fields = [error["field"] for error in response.json()["errors"]]
    assert fields == ["header X-API-Key", "header Content-Type", "header Idempotency-Key"]


@pytest.mark.parametrize(
    ("body", "headers", "kept"),
    [
        (b"{'key': 1}", {}, "{'key': 1}"),
        (gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip"}, '{"a": 1}'),
        (b"\xff\0", {}, "\\xff\0"),
        (b"not gzip", {"Content-Encoding": "gzip"}, "not gzip"),
        (b"key=value", {"Content-Type": "text/plain", "X-API-Key": None}, "key=value"),
        (b" " * 300_000, {}, " " * 256 * 1024),
        (b"", {}, None),
    ],
)
def test_the_body_of_a_wrong_request_is_kept(
    sink: SinkProcess,
    poster: Poster,
    body: bytes,
    headers: dict[str, str | None],
    kept: str | None,
) -> None:
    assert poster.post(body, headers=headers).status >= 400
    [rejected] = sink.rejected()
    assert rejected["body"] == kept
    assert rejected["bytes"] == len(body)


def test_a_wrong_head_is_rejected_although_no_body_follows(
    sink: SinkProcess, poster: Poster
) -> None:
    head = raw_head(5, path="/events/send-action")
    assert poster.raw(head).startswith(b"HTTP/1.1 404 ")
    assert poster.raw(raw_head(5, b"Expect: 100-continue", path="/x")).startswith(b"HTTP/1.1 404 ")
    assert [one["body"] for one in sink.rejected()] == [None, None]


def test_one_wrong_request_can_be_asked_for(sink: SinkProcess, poster: Poster) -> None:
    for body in (b"1", b"2", b"3"):
        poster.post(body)
    response = poster.post(b"", "/_sink/rejected?request=2", method="GET")
    assert [one["body"] for one in response.json()["rejected"]] == ["2"]
    response = poster.post(b"", "/_sink/rejected?request=9", method="GET")
    assert response.json() == {"rejected": []}


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "now",
        "2021-05-04",
        "2021-05-04T10:11:12",
        "2021-05-04 10:11:12+02:00",
        "2021-05-04T10:11:12+0200",
        "2021-05-04T10:11:12+02",
        "2021-05-04T10:11:12+02:60",
        "2021-05-04T10:11:12+24:00",
        "2021-05-04T10:11:12z",
        "2021-05-04t10:11:12Z",
        "2021-05-04T10:11Z",
        "2021-05-04T10:11:12.Z",
        "2021-05-04T10:11:12,5Z",
        "2021-05-04T10:11:12.1234567891Z",
        "2021-05-04T24:00:00Z",
        "2021-05-04T10:60:12Z",
        "2021-05-04T10:11:60Z",
        "2021-02-29T10:11:12Z",
        "2021-13-01T10:11:12Z",
        "0000-01-01T10:11:12Z",
        "21-05-04T10:11:12Z",
        "20210504T101112Z",
        "2021-W18-2T10:11:12Z",
        "2021-05-04T10:11:12Z\n",
        " 2021-05-04T10:11:12Z",
        "٢٠٢١-05-04T10:11:12Z",
    ],
)
def test_a_timestamp_that_go_cannot_parse_is_wrong(timestamp: str) -> None:
    assert timestamp_problem(timestamp) is not None


@given(st.datetimes(timezones=st.timezones()))
def test_every_aware_datetime_of_python_is_a_valid_timestamp(timestamp: Any) -> None:
    offset = timestamp.utcoffset()
    # Local mean times before standard time have seconds in their offset; RFC 3339 does not.
    if offset.total_seconds() % 60 == 0:
        assert timestamp_problem(timestamp.isoformat()) is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{'timestamp': 1}", "is not JSON"),
        (b'{"timestamp": NaN}', "is not JSON"),
        (b'{"timestamp": "\xff"}', "is not JSON"),
        (b'{"timestamp": "\\ud800"}', "is not JSON"),
        (b"[" * 2000 + b"]" * 2000, "is not JSON"),
        (json.dumps(actions(action())).encode() * 2, "is not JSON"),
        (json.dumps(actions(action())).encode("utf-16"), "is not JSON"),
    ],
)
def test_a_body_that_is_not_json_is_a_400(
    sink: SinkProcess, poster: Poster, body: bytes, problem: str
) -> None:
    response = poster.post(body)
    assert (response.status, response.json()["field"]) == (400, "body")
    assert problem in response.json()["error"]
    assert sink.stats()["rejected_requests"] == 1


def test_metadata_nested_deeper_than_the_sink_can_keep_is_a_400(poster: Poster) -> None:
    nested = json.loads("[" * 400 + "]" * 400)
    response = poster.post(actions(action(), action(metadata={"deep": nested})))
    assert (response.status, response.json()["field"]) == (400, "actions[1].metadata")


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_that_are_not_a_valid_body_are_rejected(content: bytes) -> None:
    with pytest.raises(RejectionError):
        parse_payload("actions", content, None)
    with pytest.raises(RejectionError):
        parse_payload("identities", content, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NEARLY_AN_ACTION = st.fixed_dictionaries(
    {},
    optional={
        "key": st.just("key") | JSON_VALUES,
        "user_key": st.just("user") | JSON_VALUES,
        "is_anonymous_user": st.booleans() | JSON_VALUES,
        "timestamp": st.just("2021-05-04T10:11:12Z") | JSON_VALUES,
        "metadata": st.none() | JSON_VALUES,
    },
)


@given(NEARLY_AN_ACTION)
def test_an_action_is_valid_exactly_if_all_its_fields_are(item: dict[str, Any]) -> None:
    right = (
        len(item) == 5
        and all(isinstance(item[name], str) and item[name] for name in ("key", "user_key"))
        and isinstance(item["is_anonymous_user"], bool)
        and item["timestamp"] == "2021-05-04T10:11:12Z"
        and isinstance(item["metadata"], dict | None)
    )
    content = json.dumps(actions(item)).encode()
    if right:
        assert len(parse_payload("actions", content, None).items) == 1
    else:
        with pytest.raises(RejectionError):
            parse_payload("actions", content, None)


# Wrong heads


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"X-API-Key": None}, 401, "header X-API-Key"),
        ({"X-API-Key": ""}, 401, "header X-API-Key"),
        ({"Content-Type": None}, 400, "header Content-Type"),
        ({"Content-Type": ""}, 400, "header Content-Type"),
        ({"Content-Type": "text/plain"}, 415, "header Content-Type"),
        ({"Content-Type": "application/jsonl"}, 415, "header Content-Type"),
        ({"Content-Type": "application/json; charset=latin-1"}, 415, "header Content-Type"),
        ({"User-Agent": None}, 400, "header User-Agent"),
        ({"User-Agent": ""}, 400, "header User-Agent"),
        ({"Idempotency-Key": ""}, 400, "header Idempotency-Key"),
        ({"Idempotency-Key": "x" * 256}, 400, "header Idempotency-Key"),
        ({"Content-Encoding": "br"}, 415, "header Content-Encoding"),
        ({"Content-Encoding": "gzip, gzip"}, 415, "header Content-Encoding"),
    ],
)
def test_a_wrong_header_is_a_4xx_that_names_it(
    sink: SinkProcess,
    poster: Poster,
    headers: dict[str, str | None],
    status: int,
    field: str,
) -> None:
    response = poster.post(actions(action()), headers=headers)
    assert (response.status, response.json()["field"]) == (status, field)
    stats = sink.stats()
    assert (stats["rejected_requests"], stats["actions"]) == (1, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"X-API-Key: key",
        b"Content-Type: application/json",
        b"Host: localhost",
        b"User-Agent: raw",
        b"Content-Encoding: gzip\r\nContent-Encoding: gzip",
        b"Idempotency-Key: 1\r\nidempotency-key: 1",
    ],
)
def test_a_duplicated_header_is_wrong(sink: SinkProcess, poster: Poster, line: bytes) -> None:
    body = json.dumps(actions(action())).encode()
    response = poster.raw(raw_head(len(body), line), body)
    assert response.startswith(b"HTTP/1.1 400 ")
    [rejected] = sink.rejected()
    assert rejected["error"].lower() == (
        f"header {line.split(b':')[0].decode()}: is duplicated; send it once".lower()
    )


def test_a_request_without_a_host_is_wrong(sink: SinkProcess, poster: Poster) -> None:
    body = json.dumps(actions(action())).encode()
    head = raw_head(len(body)).replace(b"Host: localhost\r\n", b"")
    assert poster.raw(head, body).startswith(b"HTTP/1.1 400 ")
    assert sink.rejected()[0]["field"] == "header Host"


def test_a_sink_with_an_api_key_accepts_no_other() -> None:
    with SinkProcess(api_key="right") as sink:
        poster = Poster(sink.url)
        wrong = poster.post(actions(action()), headers={"X-API-Key": "wrong"})
        right = poster.post(actions(action()), headers={"X-API-Key": "right"})
        poster.close()
        assert (wrong.status, right.status) == (401, 200)
        assert sink.stats()["actions"] == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_other_than_post_is_a_405(sink: SinkProcess, poster: Poster, method: str) -> None:
    response = poster.post(actions(action()), method=method)
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert sink.stats()["rejected_requests"] == 1


def test_a_head_request_accepts_nothing_and_is_not_recorded(
    sink: SinkProcess, poster: Poster
) -> None:
    """`dataart-mp doctor` makes one to find out what is there."""
    assert poster.post(actions(action()), method="HEAD").status == 404
    assert (sink.stats()["actions"], sink.stats()["rejected_requests"]) == (0, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/events",
        "/events/send-actions/",
        "/events/send-action",
        "/events/send-actions/x",
        "/xevents/send-actions",
        "//events/send-actions",
        "/prefix//users/identify",
        "/Users/Identify",
        "/a%0Ab",
    ],
)
def test_an_unknown_path_is_a_404(sink: SinkProcess, poster: Poster, path: str) -> None:
    response = poster.post(actions(action()), path)
    assert (response.status, response.json()["field"]) == (404, "path")
    assert sink.stats()["by_path"] == {"other": 1}


def test_a_query_is_wrong(poster: Poster) -> None:
    response = poster.post(actions(action()), ACTIONS + "?debug=1")
    assert (response.status, response.json()["field"]) == (400, "query")


# Sizes, encodings, broken connections


@pytest.fixture(scope="module")
def narrow() -> Any:
    with SinkProcess("--max-body-bytes", str(MIB)) as sink:
        yield sink


@pytest.mark.parametrize("framing", ["content-length", "chunked", "gzip"])
def test_a_body_over_the_limit_is_a_413(narrow: SinkProcess, framing: str) -> None:
    narrow.reset()
    body = json.dumps(actions(action(metadata={"x": "x" * MIB}))).encode()
    poster = Poster(narrow.url)
    if framing == "content-length":
        response = poster.post(body)
    elif framing == "chunked":
        response = poster.post(None, chunks=[body[:1000], body[1000:]])
    else:
        response = poster.post(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    poster.close()
    assert (response.status, response.json()["field"]) == (413, "body")
    stats = narrow.stats()
    assert (stats["rejected_requests"], stats["in_flight"]) == (1, 0)


def test_a_body_as_large_as_the_limit_is_accepted(narrow: SinkProcess) -> None:
    narrow.reset()
    frame = len(json.dumps(actions(action(metadata={"x": ""}))))
    body = json.dumps(actions(action(metadata={"x": "x" * (MIB - frame)}))).encode()
    assert len(body) == MIB
    poster = Poster(narrow.url)
    assert poster.post(body).status == 200
    assert poster.post(gzip.compress(body), headers={"Content-Encoding": "gzip"}).status == 200
    poster.close()


def test_a_body_whose_content_length_is_too_large_is_rejected_before_it_is_sent(
    narrow: SinkProcess,
) -> None:
    narrow.reset()
    response = Poster(narrow.url).raw(raw_head(MIB + 1))
    assert response.startswith(b"HTTP/1.1 413 ")


def test_no_more_than_the_limit_of_a_compression_bomb_is_decompressed() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(64)) + packer.flush()
    with pytest.raises(RejectionError, match="is larger than 1000 bytes") as caught:
        decode_body(bomb, "gzip", 1000)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"plain", "is not gzip"),
        (gzip.compress(b"{}", mtime=0)[:-1], "ends before the end"),
        (gzip.compress(b"{}", mtime=0) + b"x", "continues after the end"),
        (b"", "ends before the end"),
        (zlib.compress(b"{}"), "is not gzip"),
    ],
)
def test_a_body_in_broken_gzip_is_a_400(poster: Poster, body: bytes, problem: str) -> None:
    response = poster.post(body, headers={"Content-Encoding": "gzip"})
    assert (response.status, response.json()["field"]) == (400, "body")
    assert problem in response.json()["error"]


def test_an_incomplete_request_is_unfinished_and_counts_nothing(
    sink: SinkProcess, poster: Poster
) -> None:
    body = json.dumps(actions(action())).encode()
    assert poster.raw(raw_head(len(body)), body[:-1], half_close=True) == b""
    stats = sink.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["requests"], stats["unfinished_requests"], stats["actions"]) == (1, 1, 0)


def test_an_incomplete_chunked_request_is_unfinished_and_counts_nothing(
    sink: SinkProcess, poster: Poster
) -> None:
    body = json.dumps(actions(action())).encode()
    head = raw_head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    # The complete content, but not the chunk that ends it.
    assert poster.raw(head, b"%x\r\n%b\r\n" % (len(body), body), half_close=True) == b""
    stats = sink.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["unfinished_requests"], stats["actions"]) == (1, 0)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST\r\n\r\n",
        b"POST /events/send-actions HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /events/send-actions HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_bytes_that_are_not_http_are_a_400_and_logged(
    sink: SinkProcess, poster: Poster, garbage: bytes
) -> None:
    assert poster.raw(garbage).startswith(b"HTTP/1.1 400 ")
    [rejected] = sink.rejected()
    assert rejected["error"] == "request: is not HTTP"


def test_all_pipelined_requests_get_a_response_and_are_counted(
    sink: SinkProcess, poster: Poster
) -> None:
    bodies = [json.dumps(actions(action())).encode() for _ in range(3)]
    heads = [raw_head(len(body)) for body in bodies]
    heads[:2] = [head.replace(b"Connection: close\r\n", b"") for head in heads[:2]]
    response = poster.raw(b"".join(head + body for head, body in zip(heads, bodies, strict=True)))
    assert response.count(b"HTTP/1.1 200 ") == 3
    stats = sink.stats()
    assert (stats["distinct_actions"], stats["connections"]) == (3, 1)


def test_the_api_key_is_never_shown(sink: SinkProcess, poster: Poster) -> None:
    poster.post(actions(action()), headers={"X-API-Key": "s3cret", "Authorization": "s3cret"})
    assert "s3cret" not in str(sink.requests())
