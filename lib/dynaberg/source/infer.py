"""A table contract from a table that exists: its items are read, and the contract is written as YAML."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from dynaberg.contracts import Contract, load_contract, overlap
from dynaberg.contracts.inference import Draft, EntityTypes, attributes_by_name, keep_comments
from dynaberg.errors import ContractError, NotFoundError, SettingsError, require_whole
from dynaberg.source.adoption import describe_source
from dynaberg.source.sampling import Sample

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

_SAMPLE = 10_000


@dataclass(frozen=True)
class InferredContract:
    """A contract that was inferred, and what that took.

    Attributes:
        contract: The contract.
        path: Its YAML file.
        items: How many items were read.
        read_units: Read capacity units that reading them consumed.
        written: Whether the file was written.
        diff: What would change in the file, as a unified diff; empty if it did not exist or nothing differs.
        text: The contract in YAML.
    """

    contract: Contract = field(repr=False)
    path: Path
    items: int
    read_units: float
    written: bool
    diff: str = field(repr=False)
    text: str = field(repr=False)


def infer_contract(
    session: boto3.Session,
    settings: Settings,
    table: str,
    *,
    sample: int | None = 10_000,
    path: Path | str | None = None,
    overwrite: bool = False,
) -> InferredContract:
    """Infer the contract of an existing DynamoDB table from its items, and write it if there is none yet.

    Args:
        session: Open boto3 session.
        settings: The folder of the project.
        table: Name of the DynamoDB table.
        sample: How many items to read; None for all.
        path: The YAML file; by default `data/tables/<table in snake_case>.yaml`.
        overwrite: Replace a file that exists.

    Raises:
        NotFoundError: No such table, or it has no items.
        NotReadyError: The table is being created or deleted.
        ContractError: The file is the contract of another table, or no contract can describe the table.
        SettingsError: The file cannot be written, or `sample` is not a number of items.
    """
    sample = _checked_sample(sample)
    source = describe_source(session, table)
    draft = Draft(source.name, list(source.key))
    file = Path(path) if path else settings.root / "data" / "tables" / f"{draft.table}.yaml"
    existing = _existing(file, table)
    reading = Sample(session, table, sample)
    for page in reading.pages():
        draft.add([item for item in page if existing.claims(item)] if existing else page)
    if not draft.items:
        msg = f"The DynamoDB table {table!r} has no items, so there is nothing to infer a contract from."
        if reading.items:
            msg = f"None of {reading.items:,} items of {table!r} meets the `when` of {file}."
        raise NotFoundError(msg, hint=f"Put an item into it, or write {file} by hand.")
    return _conclude(draft, existing, file, reading, overwrite=overwrite)


def infer_contracts(
    session: boto3.Session,
    settings: Settings,
    table: str,
    *,
    sample: int | None = 10_000,
    folder: Path | str | None = None,
    overwrite: bool = False,
) -> list[InferredContract]:
    """Infer a contract for each kind of items of a DynamoDB table, and write those that there are not yet.

    Kinds are told apart by a type attribute, such as `entity` or `__typename`, or by how their keys begin. A
    first sample shows which there are. Contracts that exist keep what they claim; items that no kind claims
    are left to the change log of the rest.

    Args:
        session: Open boto3 session.
        settings: The folder of the project.
        table: Name of the DynamoDB table.
        sample: How many items to read; None for all.
        folder: The folder of the YAML files; by default `data/tables`.
        overwrite: Replace files that exist.

    Returns:
        One contract for each kind; if the table holds only one kind, its one contract.

    Raises:
        NotFoundError: No such table, or it has no items.
        NotReadyError: The table is being created or deleted.
        ContractError: No contract can describe the table.
        SettingsError: A file cannot be written, or `sample` is not a number of items.
    """
    sample = _checked_sample(sample)
    source = describe_source(session, table)
    keys = list(source.key)
    place = Path(folder) if folder else settings.root / "data" / "tables"
    first = Sample(session, table, min(sample or _SAMPLE, _SAMPLE))
    pages = list(first.pages())
    entities = EntityTypes(keys)
    for page in filter(None, pages):
        entities.add(attributes_by_name(page), page)
    known = [(path, each) for path, each in _contracts_of(place, table) if each.when]
    kinds = [k for k in entities.kinds() if not any(overlap(k.when, each.when) for _, each in known)]
    drafts: list[tuple[Path, Draft, Contract | None]] = [
        (path, Draft(table, keys), contract) for path, contract in known
    ]
    for kind in kinds:
        draft = Draft(table, keys, kind)
        drafts.append((place / f"{draft.table}.yaml", draft, None))
    if len(drafts) < 2 and not known:
        path = place / f"{Draft(table, keys).table}.yaml"
        return [infer_contract(session, settings, table, sample=sample, path=path, overwrite=overwrite)]
    reading = first
    if sample is None or sample > _SAMPLE:
        reading, pages = Sample(session, table, sample), []
    for page in pages or reading.pages():
        for _, draft, contract in drafts:
            draft.add([item for item in page if (contract or draft).claims(item)])
    return [
        _conclude(draft, contract, path, reading, overwrite=overwrite)
        for path, draft, contract in drafts
        if draft.items
    ]


def _checked_sample(sample: int | None) -> int | None:
    hint = "Write sample=10_000, for example, or None for all items."
    return None if sample is None else require_whole("sample", sample, least=1, hint=hint)


def _contracts_of(folder: Path, table: str) -> list[tuple[Path, Contract]]:
    """The contracts of a DynamoDB table in a folder, with their files."""
    found = [(path, load_contract(path)) for path in sorted(folder.glob("*.yaml"))]
    return [(path, contract) for path, contract in found if contract.source_table == table]


def _conclude(
    draft: Draft, existing: Contract | None, file: Path, reading: Sample, *, overwrite: bool
) -> InferredContract:
    """Write what was drafted, or show what would change in the file that exists."""
    drafted = draft.write(existing)
    before = file.read_text(encoding="utf-8") if existing else ""
    text = keep_comments(before, drafted.text) if existing else drafted.text
    written = existing is None or (overwrite and before != text)
    if written:
        _write(file, text)
    diff = _diff(file, before, text) if existing else ""
    return InferredContract(drafted.contract, file, reading.items, reading.read_units, written, diff, text)


def _existing(file: Path, table: str) -> Contract | None:
    """The contract that the file holds, if there is one."""
    if not file.exists():
        return None
    if file.is_dir():
        raise SettingsError(f"{file} is a folder.", hint=f"Name a file: {file / 'contract.yaml'}.")
    contract = load_contract(file)
    if contract.source_table != table:
        msg = f"{file} is the contract of the DynamoDB table {contract.source_table!r}, not of {table!r}."
        raise ContractError(msg, hint="Name another file: path=…, or --path on the command line.")
    return contract


def _write(file: Path, text: str) -> None:
    """Write the file whole, or leave it as it was."""
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        msg = f"{file} cannot be written: {error.strerror}."
        raise SettingsError(msg, hint="Name another file, or make its folder writable.") from error


def _diff(file: Path, before: str, after: str) -> str:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(unified_diff(old, new, str(file), "inferred now"))
