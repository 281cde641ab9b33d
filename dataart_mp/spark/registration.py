"""Registers the format with the configuration of the driver."""

from typing import TYPE_CHECKING

from dataart_mp.config import ClientConfig
from dataart_mp.errors import ConfigError
from dataart_mp.spark.job import Registration
from dataart_mp.spark.session import running_tasks
from dataart_mp.spark.source import DataArtSource
from dataart_mp.spark.speculation import refuse_speculation

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def register(spark: "SparkSession", config: ClientConfig | None = None) -> None:
    """Let `format("dataart")` of a session use a configuration.

        register(spark, ClientConfig(key, base_url="https://events.example"))
        df.write.format("dataart").mode("append").options(user_key_column="customer").save()

    It is not needed if the environment of the driver has the configuration. The configuration
    travels to the executors in pickled functions, and is shown nowhere. A later call replaces it.

    Args:
        spark: The session.
        config: The configuration; None: that of the environment (DATAART_API_KEY, …).

    Raises:
        ConfigError: There is no API key, or speculative execution is on, or this release of PySpark
            cannot do it, such as 4.0.
    """
    from pyspark.errors import AnalysisException

    registration = registration_of(spark, ClientConfig.from_env() if config is None else config)
    attributes = {"registration": registration, "__doc__": DataArtSource.__doc__}
    # No module contains this class, so it is pickled as it is, with the configuration.
    source = type("RegisteredSource", (DataArtSource,), attributes)
    try:
        spark.dataSource.register(source)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):
            raise
        raise ConfigError(
            "register: this PySpark keeps the format that it has found itself; set DATAART_API_KEY "
            "and DATAART_BASE_URL for the driver, call ship(df, config=config), or use PySpark 4.3"
        ) from error


def registration_of(spark: "SparkSession", config: ClientConfig | None) -> Registration:
    """Find out what the driver knows of a session.

    Args:
        spark: The session.
        config: The configuration; None: that of the environment.

    Raises:
        ConfigError: Speculative execution is on.
    """
    refuse_speculation(lambda name: spark.conf.get(name, None))
    if config is not None:
        config = config.without_callbacks()
    return Registration(config, running_tasks(spark))
