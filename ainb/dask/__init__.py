"""Dask collections: the workers send the rows of a Dask DataFrame, Series or bag.

`map_collection` opens a run and sends the workers a `Mapper`: the options of the session, the prompt and the
folder of the journals; no key, no open file, no connection. Each worker process makes one session from it and
reads its own keys. `PartitionReporter` on the workers sends progress, notices and usage rows back to
`RunMonitor` in the notebook. This package and Dask are imported when a Dask collection is mapped.
"""

from ainb.dask.collection import compute, map_collection, map_partitions_function

__all__ = ["compute", "map_collection", "map_partitions_function"]
