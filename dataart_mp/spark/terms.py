"""The options of a write, as messages about columns name them."""

from typing import Final

from dataart_mp.table.terms import Terms

OPTIONS: Final = Terms(
    fields={
        "key": "key_column",
        "user_key": "user_key_column",
        "is_anonymous_user": "anonymous_column",
        "timestamp": "timestamp_column",
    },
    metadata="metadata",
    choose="set the option {option} to the name of a column",
    or_constant="",
    or_identities=", or the option key to a text that is the key of all events",
    rename="rename one of them with withColumnRenamed",
    timezone="the option timezone",
)
