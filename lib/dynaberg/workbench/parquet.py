"""The change log of one table as plain Parquet, too, `wb.table().parquet`."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from dynaberg import layers
from dynaberg.workbench.connection import Place


class TableParquet:
    """Copies of the change log's files in a bucket of their own, in folders by day.

    The setting `raw_parquet` switches them on. The schedule keeps them up to date; without one, call `write`.

    Args:
        place: Says what works on the table need, as its contract is now.
    """

    def __init__(self, place: Callable[[], Place]) -> None:
        self._place = place

    @property
    def address(self) -> str:
        """Where the files are: below it, one folder for each day that rows came in, `day=2026-11-30/`.

        Raises:
            NotFoundError: The project keeps no plain Parquet.
        """
        return layers.parquet_address(*self._place())

    def write(self) -> pd.DataFrame:
        """Bring the files up to what the change log holds now; what is there already is not copied again.

        Returns:
            One row per file: day, action (`copied` or `removed`), rows, address.

        Raises:
            NotFoundError: The project keeps no plain Parquet.
            NotReadyError: The schedule, or somebody else, is at it.

        Example:
            >>> orders.parquet.write()["rows"].sum()
        """
        return layers.write_parquet(*self._place())

    def check(self) -> pd.DataFrame:
        """Compare the files with the change log, value by value.

        Returns:
            One row per day: day, files, rows, parquet_rows, missing, surplus, different (rows that are); the
            last three are 0 where the files are right.

        Raises:
            NotFoundError: The project keeps no plain Parquet.
        """
        return layers.check_parquet(*self._place())
