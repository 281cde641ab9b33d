"""The options of the command line, as messages about columns name them."""

from typing import Final

from dataart_mp.table.terms import Terms

COMMAND_LINE: Final = Terms(
    fields={
        "key": "--key",
        "user_key": "--user-key",
        "is_anonymous_user": "--anonymous",
        "timestamp": "--timestamp",
    },
    metadata="--metadata",
    choose="set {option} COLUMN, or --set {name}=TEXT",
    or_constant="",
    or_identities=", or --identities if rows describe users",
    rename="name all columns with --columns (CSV), or rename it in the file (Parquet)",
    timestamp_format="--timestamp-format",
    convert_time="set --timestamp-format",
    timezone="--timezone",
)
