"""The settings of a job against the columns of its table."""

from typing import Any

from dataart_mp.ship.settings import ShipSettings


def check_schema(schema: Any, settings: ShipSettings) -> None:
    """Check that a table has the columns that the settings name, with fitting types.

    A driver calls it before any work begins; `ship_iter` does it again for each part.

    Args:
        schema: A `pyarrow.Schema`, or what has `__arrow_c_schema__`.
        settings: The settings of the job.

    Raises:
        TableError: A column is missing, or has a type that does not fit; the message names the
            setting (as `settings.terms` does), the value and the fix. Its attribute `field` is the
            name of the setting.
        MissingExtraError: The package pyarrow is not installed.
    """
    raise NotImplementedError
