"""Parts of a table that are objects of their own: its masks, and its change log as plain Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from dynaberg import layers, masks, upkeep
from dynaberg.workbench.connection import Place


class TableMasks:
    """What a contract's masks need beside the contract, `wb.table().masks`.

    Args:
        place: Says what works on the table need, as its contract is now.
    """

    def __init__(self, place: Callable[[], Place]) -> None:
        self._place = place

    def preview(self) -> pd.DataFrame:
        """Which values of rows that are in the tables are not masked as the contract says.

        Returns:
            One row for each column with such values, and for each table that holds copies of them (its column
            is `(built again)` or `(dropped)`): table, column, values, older_hashes, rows_replaced,
            files_replaced, snapshots_with_values, expired_after and removed_after (UTC: when the older
            snapshots that hold them are gone).
        """
        return upkeep.preview_remask(*self._place())

    def apply(self, *, confirm: str) -> pd.DataFrame:
        """Mask what `preview` shows, after a mask was added to the contract and deployed.

        Curated tables that read the rows are built again as a whole, and what failed builds left is dropped.

        Args:
            confirm: The table's name, as a confirmation: it cannot be taken back.

        Raises:
            SettingsError: The name does not match; nothing was done.
            BuildError: A curated table could not be built again, and may still show the values.

        Example:
            >>> orders.masks.apply(confirm="orders")
        """
        return upkeep.remask(*self._place(), confirm=confirm)

    def preview_rotation(self) -> pd.DataFrame:
        """What `rotate_key` would mask again, and which hashes would stay as the old key made them."""
        return upkeep.preview_mask_rotation(*self._place())

    def rotate_key(self, *, confirm: str) -> pd.DataFrame:
        """Make a new version of the key of the masks, have the functions use it, and mask the rows again.

        Args:
            confirm: The table's name, as a confirmation.

        Raises:
            SettingsError: The name does not match; nothing was done.
            ContractError: No mask has a key.
        """
        return upkeep.rotate_mask_key(*self._place(), confirm=confirm)

    def detokenise(self, tokens: Iterable[str | None]) -> list[Any]:
        """The values behind the tokens of a column with `mask: tokenise`, for who may read the key.

        Args:
            tokens: Such as `frame["email"]`; None stays None.

        Raises:
            ContractError: Something is no token of this key.
            CredentialsError: You may not read the key.
        """
        return masks.detokenise(*self._place(), tokens)


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

        So it does for the log of what no table of the source claims, if there is one.

        Returns:
            One row per file: log, day, action (`copied` or `removed`), rows, address.

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
            One row per log and day: log, day, files, rows, parquet_rows, missing, surplus, different (rows
            that are); the last three are 0 where the files are right.

        Raises:
            NotFoundError: The project keeps no plain Parquet.
        """
        return layers.check_parquet(*self._place())
