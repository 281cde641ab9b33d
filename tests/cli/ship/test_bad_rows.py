"""Bad rows are written to a file."""

from pathlib import Path

from dataart_mp.cli.input.row import Position, Row
from dataart_mp.cli.ship.bad_rows import BadRows
from dataart_mp.errors import EventError


def test_bad_rows_are_kept_with_line_and_reason(tmp_path: Path) -> None:
    kept = tmp_path / "bad.jsonl"
    row = Row("x.jsonl", 1, Position(1, 0), b'{"key":"k"}\n')

    with BadRows(kept) as bad:
        bad.add(row, EventError("user_key: is missing"))

    assert kept.read_text() == (
        '{"file": "x.jsonl", "line": 1, "reason": "user_key: is missing", '
        '"row": "{\\"key\\":\\"k\\"}"}\n'
    )
