"""Speculative execution: Spark starts slow tasks a second time, beside the first one.

Both send the same requests. Spark 4.3 then counts the slower one of a write as a failure, and may
end the job although nothing is wrong (SPARK-56564).
"""

from collections.abc import Callable
from typing import Final

from dataart_mp.errors import ConfigError

_SETTING: Final = "spark.speculation"


def refuse_speculation(setting: Callable[[str], str | None]) -> None:
    """Refuse to ship if speculative execution is on.

    Args:
        setting: Returns the value of a setting of Spark by its name.

    Raises:
        ConfigError: It is on.
    """
    if setting(_SETTING) == "true":
        raise ConfigError(
            f"{_SETTING}='true': is refused, because two tasks would send the same events, and the "
            "slower one counts as a failure that may end the job; set it to false for this "
            "application",
            _SETTING,
        )
