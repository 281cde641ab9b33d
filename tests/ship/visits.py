"""A table of visits, and the settings that ship it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dataart_mp import ClientConfig, lit
from dataart_mp.ship import ShipSettings

Configure = Callable[..., ShipSettings]
"""The fixture `settings`: makes settings."""

SENT_AT = datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)


def settings_for(config: ClientConfig, **given: Any) -> ShipSettings:
    defaults: dict[str, Any] = {"source": "visits", "key": lit("visit"), "sent_at": SENT_AT}
    return ShipSettings(config=config, **{**defaults, **given})


def visits(count: int, first: int = 0) -> Any:
    """Return a table whose rows have consecutive ids."""
    import pyarrow

    numbers = range(first, first + count)
    return pyarrow.table(
        {
            "user_key": [f"user-{number % 97}" for number in numbers],
            "timestamp": pyarrow.array(
                [1_600_000_000_000_000 + number * 1_000 for number in numbers],
                pyarrow.timestamp("us", "UTC"),
            ),
            "_id": pyarrow.array(numbers, pyarrow.int64()),
            "page": ["/", "/tea", None] * (count // 3) + ["/"] * (count % 3),
        }
    )
