"""`format("dataart")`, as Spark looks it up."""

from typing import TYPE_CHECKING, ClassVar, NoReturn

from pyspark.sql.datasource import DataSource

from dataart_mp.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamWriter
    from pyspark.sql.types import StructType

    from dataart_mp.spark.job import Registration


class DataArtSource(DataSource):
    """Ships the rows of a DataFrame or of a stream as actions.

        df.write.format("dataart").mode("append").options(user_key_column="customer").save()

    Spark creates it in a separate Python process of the driver, from the options of the write.
    Whatever the job needs is imported there only, because Spark imports this module in each
    application.
    """

    registration: ClassVar["Registration | None"] = None
    """What `register` found out; None: Spark found this class itself."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "dataart"

    def schema(self) -> NoReturn:
        """Refuse to be read."""
        raise ConfigError(
            "the format dataart can only be written: the platform has nothing to read"
        )

    def writer(self, schema: "StructType", overwrite: bool) -> "DataSourceArrowWriter":
        """Return the writer of a DataFrame, when its options and columns are checked.

        Raises:
            ConfigError: An option is unknown, missing or invalid.
            TableError: A column is missing, or has a type that does not fit.
        """
        from dataart_mp.spark.job import Registration, job_of
        from dataart_mp.spark.writer import Writer

        if overwrite:
            raise ConfigError(
                'mode="overwrite": nothing that was sent can be replaced; use "append"'
            )
        return Writer(job_of(self.options, schema, self.registration or Registration()))

    def streamWriter(  # noqa: N802 - Spark's name
        self, schema: "StructType", overwrite: bool
    ) -> "DataSourceStreamWriter":
        """Return the writer of a stream, when its options and columns are checked.

        Raises:
            ConfigError: An option is unknown, missing or invalid.
            TableError: A column is missing, or has a type that does not fit.
        """
        from dataart_mp.spark.arrow import arrow_schema
        from dataart_mp.spark.job import Registration, job_of
        from dataart_mp.spark.stream_writer import StreamWriter

        if overwrite:
            problem = "nothing that was sent can be replaced"
            raise ConfigError(f'outputMode="complete": {problem}; use "append" or "update"')
        registration = self.registration or Registration()
        job = job_of(self.options, schema, registration, is_stream=True)
        return StreamWriter(job, arrow_schema(schema))
