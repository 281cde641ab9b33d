"""Record batches become records; rows that cannot be sent are refused."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from dataart_mp.errors import EventError, RowError
from dataart_mp.producer.encoder import encode_action
from dataart_mp.producer.event_ids import EventIds
from dataart_mp.ship.cut import Records
from dataart_mp.ship.id_columns import IdColumns
from dataart_mp.ship.report import MOST_SAMPLES, BadRow
from dataart_mp.ship.settings import ShipSettings
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.encoder import Encoder
from dataart_mp.table.rows import Fields, rows_of


class Recorder:
    """Encodes the rows of one part, in their order.

    Args:
        columns: The mapping of the columns.
        names: The names of all columns that are not left out.
        settings: The settings of the job.
        part: The name of the part.

    Attributes:
        names: The columns to read.
        rows: Number of rows that were read.
        bad_rows: Number of rows that cannot be sent.
        bad_samples: The first of them.
    """

    def __init__(
        self, columns: ColumnMap, names: list[str], settings: ShipSettings, part: str
    ) -> None:
        used = {*columns.columns_to_read(names), *settings.event_id_columns}
        self.names = [name for name in names if name in used]
        self.rows = self.bad_rows = 0
        self.bad_samples: list[BadRow] = []
        self._columns = columns
        self._encoder = Encoder(columns, self.names)
        name = settings.event_id_name
        self._event_ids = None if name is None else EventIds(name)
        self._id_columns = IdColumns(settings.event_id_columns)
        self._fails = settings.on_bad_row == "fail"
        self._part = part

    def encode(self, batch: Any) -> Iterator[Records]:
        """Encode the next rows.

        Args:
            batch: A `pyarrow.RecordBatch` of one row or more.

        Raises:
            RowError: A row cannot be sent (`on_bad_row="fail"`).
        """
        before = self.rows
        self.rows += batch.num_rows
        lines = self._encoder.encode(batch)
        ids = self._id_columns.contents_of(batch)
        start = 0
        for number in (*sorted({*lines.doubtful, *ids.doubtful}), batch.num_rows):
            if number > start:
                ends = lines.ends[start : number + 1]
                records = Records(lines.memory, ends, before + start)
                yield self._with_ids(records, ids.contents[start:number])
            if number < batch.num_rows:
                yield from self._encode_one(batch.slice(number, 1), before + number)
            start = number + 1

    def refuse_large(self, row: int, size: int, most: int) -> None:
        """Refuse a row whose record is too large for a request."""
        problem = f"the event takes {size:,} bytes; a request has room for {most:,}"
        self._refuse(EventError(f"{problem}, raise max_request_bytes"), row)

    def _encode_one(self, batch: Any, row: int) -> Iterator[Records]:
        """Encode a row whose values may be invalid."""
        (fields,) = rows_of(batch, self._columns.terms)
        ids = self._id_columns.contents_of(batch)
        try:
            record = self._record_of(fields, is_doubtful=bool(ids.doubtful))
        except EventError as error:
            self._refuse(error, row)
        else:
            yield self._with_ids(Records(record, (0, len(record)), row), ids.contents)

    def _record_of(self, fields: Fields | EventError, *, is_doubtful: bool) -> bytes:
        if isinstance(fields, EventError):
            raise fields
        if is_doubtful:
            raise EventError("a column of event_id_columns cannot be read; convert it")
        return encode_action(*self._columns.action_of(fields))

    def _with_ids(self, records: Records, contents: list[bytes]) -> Records:
        """Return records with ids, if events get ids."""
        if self._event_ids is None:
            return records
        ends = records.ends
        lines = bytes(records.memory[ends[0] : ends[-1]])[:-1].split(b"\n")
        pairs = zip(lines, contents or lines, strict=True)
        found = [self._event_ids.with_id(line + b"\n", content) for line, content in pairs]
        return Records(b"".join(found), [0, *accumulate(map(len, found))], records.row)

    def _refuse(self, error: EventError, row: int) -> None:
        column, problem = self._columns.locate(error, self.names)
        if self._fails:
            where = f"part {self._part}, row {row}" + (f", column {column!r}" if column else "")
            raise RowError(f"{where}: {problem}", error.path, row, column) from error.__cause__
        self.bad_rows += 1
        if len(self.bad_samples) < MOST_SAMPLES:
            self.bad_samples.append(BadRow(self._part, row, column, str(error)))
