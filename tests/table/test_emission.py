"""A row that cannot be sent is reported by its number and column, and affects no other row."""

import pickle
from typing import Any

import pytest

from dataart_mp import ClientConfig, ClosedError, Emitted, RowError, RowsError, lit
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.table.emission import emission_of
from dataart_mp.testing import RecordingClient
from tests.table.emitted import DEFAULTS

pyarrow = pytest.importorskip("pyarrow")


def refused(client: RecordingClient, table: Any, **arguments: Any) -> RowsError:
    with pytest.raises(RowsError) as caught:
        client.emit_table(table, **arguments)
    return caught.value


def test_a_refused_row_is_named_by_number_and_column_and_the_others_are_accepted() -> None:
    users = [f"u{number}" for number in range(1000)]
    table = pyarrow.table(
        {
            "who": [None if n == 17 else "" if n == 900 else user for n, user in enumerate(users)],
            "n": range(1000),
        }
    )
    client = RecordingClient()
    error = refused(client, table, key=lit("k"), user_key="who")

    assert str(error).startswith(
        "2 of 1,000 rows cannot be sent: row 17, column 'who': user_key: is missing: "
        "column 'who' is empty; row 900, column 'who': user_key: str ('') is refused"
    )
    assert str(error).endswith("(998 were accepted)")
    assert [(one.row, one.column, one.path) for one in error.errors] == [
        (17, "who", "user_key"),
        (900, "who", "user_key"),
    ]
    assert (error.refused, error.columns, error.accepted) == (2, {"who": 2}, 998)
    sent = [action.metadata for action in client.actions]
    assert sent == [{"n": number} for number in range(1000) if number not in {17, 900}]


def test_an_exception_names_the_rows_that_were_refused_before_it() -> None:
    def stop(rows: int) -> None:
        raise RuntimeError(f"stopped after {rows}")

    table = pyarrow.table({"who": ["ann", None]})
    with pytest.raises(RuntimeError, match="stopped after 2") as caught:
        RecordingClient().emit_table(table, key=lit("k"), user_key="who", progress=stop)
    (note,) = caught.value.__notes__
    assert note.startswith("Also refused: 1 of 2 rows cannot be sent: row 1, column 'who': ")


def test_the_column_of_metadata_is_named_even_if_its_name_in_the_event_is_another() -> None:
    far = pyarrow.array([0, 10**12], pyarrow.timestamp("s", "UTC"))
    table = pyarrow.table({"seen at": far, "user": ["a", "b"]})
    error = refused(
        RecordingClient(), table, key=lit("k"), user_key="user", metadata={"seen": "seen at"}
    )
    assert error.errors[0].column == "seen at"
    assert "row 1, column 'seen at': the timestamp[s, tz=UTC] of this row cannot be" in str(error)
    assert "leave it out with metadata" in str(error)


def test_an_event_that_is_larger_than_a_request_is_refused() -> None:
    texts = ["x", "y" * 5000, "z"]
    client = RecordingClient(max_request_bytes=4000)
    error = refused(client, pyarrow.table({"text": texts}), key=lit("k"), user_key=lit("u"))
    assert "row 1: the event takes 5," in str(error)
    assert (error.errors[0].row, error.errors[0].column) == (1, None)
    assert [action.metadata for action in client.actions] == [{"text": "x"}, {"text": "z"}]


def test_all_refused_rows_are_counted_and_a_hundred_are_shown() -> None:
    table = pyarrow.table({"user": pyarrow.array([None] * 5000 + ["ann"], pyarrow.string())})
    error = refused(RecordingClient(), table, key=lit("k"), user_key="user")
    assert (len(error.errors), error.refused, error.accepted) == (100, 5000, 1)
    assert "; and 4,997 more" in str(error)


def test_errors_survive_pickling() -> None:
    error = refused(RecordingClient(), pyarrow.table({"user": [""]}), key=lit("k"), user_key="user")
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy).keys() == vars(error).keys()
    assert (str(copy), copy.columns) == (str(error), {"user": 1})
    assert isinstance(copy.errors[0], RowError)
    assert copy.errors[0].column == "user"


def test_progress_is_the_number_of_processed_rows() -> None:
    seen: list[int] = []
    table = pyarrow.table({"n": range(20_000)})
    emitted = RecordingClient().emit_table(
        table, key=lit("k"), user_key=lit("u"), progress=seen.append
    )
    assert emitted == Emitted(20_000)
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == 20_000


def test_an_exception_of_the_table_is_raised_when_the_rows_before_it_are_accepted() -> None:
    def batches() -> Any:
        yield pyarrow.record_batch({"n": [1, 2]})
        raise OSError("the disk is gone")

    schema = pyarrow.schema({"n": pyarrow.int64()})
    client = RecordingClient()
    reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(OSError, match="the disk is gone"):
        client.emit_table(reader, key=lit("k"), user_key=lit("u"))
    assert [action.metadata for action in client.actions] == [{"n": 1}, {"n": 2}]

    with pytest.raises(ZeroDivisionError):
        client.emit_table(
            pyarrow.table({"n": [3]}), key=lit("k"), user_key=lit("u"), progress=lambda n: n // 0
        )
    assert len(client.actions) == 3


def test_a_closed_client_refuses_a_table() -> None:
    client = RecordingClient()
    client.close()
    with pytest.raises(ClosedError):
        client.emit_table(pyarrow.table({"key": ["k"], "user_key": ["u"]}))


def test_a_filtered_frame_of_pandas_has_no_column_for_its_index() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": ["a", "b", "c"], "n": [1, 2, 3]})
    client = RecordingClient()
    client.emit_table(frame[frame.n > 1], key=lit("k"), user_key="user")
    assert [action.metadata for action in client.actions] == [{"n": 2}, {"n": 3}]


@pytest.mark.parametrize("package", ["pandas", "polars", "duckdb", "pyarrow"])
def test_tables_of_each_package_become_the_same_events(package: str) -> None:
    module = pytest.importorskip(package)
    content = {"user": ["a", "b"], "n": [1, 2], "x": [1.5, None]}
    table: Any = pyarrow.table(content)
    if package == "duckdb":
        table = module.connect().from_arrow(table)
    elif package != "pyarrow":
        table = module.DataFrame(content)
    client = RecordingClient()
    assert client.emit_table(table, key=lit("k"), user_key="user") == Emitted(2)
    assert [action.user_key for action in client.actions] == ["a", "b"]
    assert [action.metadata for action in client.actions] == [
        {"n": 1, "x": 1.5},
        {"n": 2, "x": None},
    ]


def test_rows_pass_the_hooks_of_the_client() -> None:
    def before_send(event: dict[str, Any]) -> dict[str, Any] | None:
        event["metadata"]["seen"] = True
        return None if event["metadata"]["n"] == 2 else event

    client = RecordingClient(ClientConfig("key", before_send=before_send))
    table = pyarrow.table({"user": ["a", "b", "c", None], "n": [1, 2, 3, 4]})
    error = refused(client, table, key=lit("k"), user_key="user")
    assert (error.accepted, error.dropped, error.errors[0].row) == (3, 1, 3)
    assert [action.metadata for action in client.actions] == [
        {"n": 1, "seen": True},
        {"n": 3, "seen": True},
    ]
    assert client.stats().total_dropped == 1


def test_a_step_appends_some_hundred_rows_so_that_an_event_loop_can_turn_to_others() -> None:
    taken: list[int] = []

    def take(lines: memoryview, count: int) -> Taken:
        taken.append(count)
        return Taken(count, len(lines), 20)

    table = pyarrow.table({"key": ["k"] * 1200, "user_key": ["u"] * 1200})
    arguments = {**DEFAULTS, "key": "key", "user_key": "user_key"}
    emission = emission_of(table, 20, take, lambda *_: None, None, None, 1000, **arguments)
    rows = []
    while (batch := emission.read()) is not None:
        emission.begin(batch)
        while emission.step():
            rows.append(emission.row)
    assert rows == [512, 1000, 1200]
    assert max(taken) == 20
    assert emission.finish() == Emitted(1200)
