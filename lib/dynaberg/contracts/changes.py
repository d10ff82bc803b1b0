"""Changes of columns that a contract has: other names, wider types, and columns that go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dynaberg.contracts.column_types import ParsedType
from dynaberg.contracts.columns import Column
from dynaberg.contracts.contract import Contract
from dynaberg.contracts.mask_paths import PathMask
from dynaberg.errors import ContractError, NotFoundError

_WIDER = "Iceberg only widens int to long and a decimal's precision."


@dataclass(frozen=True)
class Changes:
    """What is to become of some columns.

    Attributes:
        rename: New names by the present ones.
        widen: New types by the names of columns.
        drop: Names of columns that go.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    widen: Mapping[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything is to change."""
        return bool(self.rename or self.widen or self.drop)


def change_contract(contract: Contract, changes: Changes) -> Contract:
    """The contract after changes of its columns.

    A renamed column keeps its attribute. The attribute of a column that goes stays masked.

    Args:
        contract: The table contract.
        changes: What to change.

    Raises:
        NotFoundError: There is no such column.
        ContractError: A key is renamed or dropped, a name is taken, or a type is not a wider one.

    Example:
        >>> change_contract(contract, Changes(rename={"amt": "amount"})).column("amount").attribute
        'amt'
    """
    _check(contract, changes)
    columns = [_changed(column, changes) for column in contract.columns if column.name not in changes.drop]
    masks = [*contract.masks, *_masks_of_dropped(contract, changes.drop)]
    return replace(contract, columns=tuple(columns), masks=tuple(masks))


def with_former(contract: Contract, changes: Changes) -> Contract:
    """A changed contract that has its renamed columns under their former names, too.

    Args:
        contract: From `change_contract`.
        changes: What was changed.
    """
    former = [replace(contract.column(new), name=old) for old, new in changes.rename.items()]
    return replace(contract, columns=(*contract.columns, *former))


def _check(contract: Contract, changes: Changes) -> None:
    names = [column.name for column in contract.columns]
    asked = [*changes.rename, *changes.widen, *changes.drop]
    for name in asked:
        if name not in names:
            raise NotFoundError.among("column", name, names)
        if asked.count(name) > 1:
            raise ContractError(
                f"The column {name!r} is to change in two ways at once.", hint="Change it step by step."
            )
    for name in (*changes.rename, *changes.drop):
        if name in contract.key:
            msg = f"The column {name!r} is a key of the table {contract.table!r}, by which rows are found."
            raise ContractError(msg, hint="Only columns that are no keys can be renamed or dropped.")
    for old, new in changes.rename.items():
        if new in names or list(changes.rename.values()).count(new) > 1:
            msg = f"The column {old!r} cannot be renamed: the name {new!r} is taken."
            raise ContractError(msg, hint=f"Taken are: {', '.join(names)}.")


def _changed(column: Column, changes: Changes) -> Column:
    name = changes.rename.get(column.name, column.name)
    wider = replace(column, name=name, type=changes.widen.get(column.name, column.type))
    if not _holds(wider.parsed_type, column.parsed_type):
        msg = f"The column {column.name!r} is a {column.type}, which cannot become a {wider.type}. {_WIDER}"
        hint = (
            "Leave the column, and add one of another name for the same attribute: "
            f"`name: {column.name}_2, attribute: {column.attribute}, type: {wider.type}`."
        )
        raise ContractError(msg, hint=hint)
    return wider


def _holds(wide: ParsedType, narrow: ParsedType) -> bool:
    """Whether a type is the same as another one, or a wider one by the rules of Iceberg."""
    match wide, narrow:
        case "long", "int":
            return True
        case {"decimal": [precision, scale]}, {"decimal": [before, scale_before]}:
            return bool(scale == scale_before and precision >= before)
        case ({"list": inner}, {"list": before}) | ({"map": inner}, {"map": before}):
            return _holds(inner, before)
        case {"attribute": [name, inner]}, {"attribute": [name_before, before]}:
            return bool(name == name_before) and _holds(inner, before)
        case {"struct": dict(members)}, {"struct": dict(before)}:
            return list(members) == list(before) and all(_holds(members[n], before[n]) for n in before)
        case _:
            return wide == narrow


def _masks_of_dropped(contract: Contract, dropped: Sequence[str]) -> Iterator[PathMask]:
    """Masks that stay, although the columns that had them go."""
    kept = {column.attribute for column in contract.columns if column.name not in dropped}
    gone = {c.attribute: c.mask for c in contract.columns if c.name in dropped and c.mask}
    for attribute, mask in gone.items():
        if attribute not in kept and mask:
            yield PathMask((attribute,), mask)
