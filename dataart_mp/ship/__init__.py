"""Ship a table in parts, from processes that an engine such as Spark, Dask or Ray runs.

    batches ─► records ─► cut ─► key ─► courier ─► report
    (source)   (records)  (cut)  (keys) (delivery/) (report)

`ship_iter` ships one part in the process that calls it. It starts no process, and stores nothing
but the keys of settled requests, if `checkpoint` is set. When it returns, each event of the part is
delivered, or the report says what became of it. The same part makes the same requests with the same
keys, whichever process ships it and how often: that is how a platform counts each event once
although engines repeat parts.

settings     `ShipSettings`: which columns become what, and how events are delivered
report       `Report`: what became of the rows
schema       `check_schema`: the settings against the columns of a table
source       what the record batches of a part come from
records      record batches ─► records, and the rows that cannot be sent
id_columns   the columns that decide about the ids of events
cut          records ─► the contents of requests
keys         the keys of requests, from their contents
checkpoint   the keys of the requests that are settled, in a directory
senders      the connections of a process, which all its parts share
part         `ship_iter`: one attempt to ship a part
"""

from dataart_mp.ship.part import ship_iter
from dataart_mp.ship.report import BadRow, RejectedEvent, Report
from dataart_mp.ship.schema import check_schema
from dataart_mp.ship.settings import ShipSettings

__all__ = [
    "BadRow",
    "RejectedEvent",
    "Report",
    "ShipSettings",
    "check_schema",
    "ship_iter",
]
