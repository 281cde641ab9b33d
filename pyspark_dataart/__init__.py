"""Makes `format("dataart")` known to PySpark.

PySpark imports each top-level module whose name begins with `pyspark_`, and registers the class
`DefaultSource` that it finds there. This happens in each application, also if it does not use this
package, so nothing heavy is imported here.
"""

from dataart_mp.spark.source import DataArtSource as DefaultSource

__all__ = ["DefaultSource"]
