"""Dask collections: the rows of a Dask DataFrame, Series or bag, sent by the workers.

`map_collection` opens a run and sends the workers a `Mapper`: the options of the session, the prompt and the
folder of the journals; no key, no open file, no connection. Each worker process makes one session of it and
reads its own keys. `PartitionReporter` on the workers and `RunMonitor` in the notebook carry progress,
notices and usage rows back. Loaded when a Dask collection is mapped; Dask itself is not imported before that.
"""

from ainb.dask.collection import compute, map_collection, map_partitions_function

__all__ = ["compute", "map_collection", "map_partitions_function"]
