"""What a notebook holds: the workbench for the project, and a table for one table.

Nothing is worked out here: each method is one call into the room that knows how. Outside this room only
`connect` makes a workbench, and only a workbench makes tables.
"""

from dynaberg.workbench.iceberg_table import IcebergTable
from dynaberg.workbench.table import Table
from dynaberg.workbench.workbench import Workbench, connect

__all__ = ["IcebergTable", "Table", "Workbench", "connect"]
