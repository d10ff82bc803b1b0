"""What a notebook works with: the workbench for the project, and table objects for single tables.

There is no logic here: each method makes one call into the package that does the work. Outside this package
only `connect` makes a workbench, and only a workbench makes tables.
"""

from dynaberg.workbench.iceberg_table import IcebergTable
from dynaberg.workbench.opening import connect
from dynaberg.workbench.table import Table
from dynaberg.workbench.workbench import Workbench

__all__ = ["IcebergTable", "Table", "Workbench", "connect"]
