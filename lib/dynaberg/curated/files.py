"""The SQL files under `data/sql/curated/`: what the comments at the top declare, and the SELECT below."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dynaberg.curated.checks import Check, read_check
from dynaberg.errors import BuildError, NotFoundError, QueryError
from dynaberg.functions.statements.builds import STAGING, Build, quoted
from dynaberg.settings import Settings
from dynaberg.sql import tables_read

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,200}")
_DIRECTIVE = re.compile(r"--\s?(build|inputs|check|chart):\s*(.*)")
_MORE = re.compile(r"--\s{3,}(\S.*)")
_LOOKS_LIKE = re.compile(r"--\s?(\w+):\s*\S")
_PART = re.compile(r"(key|watermark|lookback)\s*\(([^()]*)\)")
_LOOKBACK = re.compile(r"(\d+)(?:\s+(second|minute|hour|day|month|year)s?)?")
_BUILD_HINT = "Write `-- build: full`, or `-- build: incremental, key(a, b), watermark(c), lookback(2 days)`."


@dataclass(frozen=True)
class Incremental:
    """How a table is built from a watermark on.

    Attributes:
        key: Columns that identify a row.
        watermark: Column whose greatest value in the table says from where on rows are computed again.
        lookback: How far before that value, as SQL, such as `INTERVAL '2' DAY`; empty for not at all.
    """

    key: tuple[str, ...]
    watermark: str
    lookback: str = ""


@dataclass(frozen=True)
class CuratedFile:
    """One SQL file.

    Attributes:
        name: Name of the file and of the table.
        select: The SELECT, without the header and a closing semicolon.
        inputs: Tables of the namespace that it reads, in lower case.
        elsewhere: Tables in other namespaces that it reads, whose changes are not known.
        incremental: None if the whole content is built each time.
        checks: What must hold for the content.
        charts: Pictures that are drawn from the table.
    """

    name: str
    select: str
    inputs: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    incremental: Incremental | None = None
    checks: tuple[Check, ...] = ()
    charts: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the content, and of the checks."""
        parts = (self.select, repr(self.incremental), *(check.text for check in self.checks))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def curated_folder(settings: Settings) -> Path:
    """Where the SQL files of a project are."""
    return Path(settings.root, "data", "sql", "curated")


def read_files(settings: Settings) -> dict[str, CuratedFile]:
    """All SQL files, by name.

    Args:
        settings: The project's folder and the namespace.

    Raises:
        BuildError: A header cannot be read, or a file has a name that no curated table can have.
    """
    return {
        path.stem: read_file(settings, path.stem) for path in sorted(curated_folder(settings).glob("*.sql"))
    }


def read_file(settings: Settings, name: str) -> CuratedFile:
    """Read `data/sql/curated/<name>.sql`: a SELECT, with comments above it.

    Args:
        settings: The project's folder and the namespace.
        name: Name of the curated table.

    Raises:
        NotFoundError: No such file; the message names those that exist.
        BuildError: The header cannot be read.
    """
    folder = curated_folder(settings)
    path = folder / f"{name}.sql"
    existing = [file.stem for file in folder.glob("*.sql")]
    if name not in existing:
        raise NotFoundError.among("curated table", name, existing, hint=f"Write its SELECT into {path}.")
    reserved = (settings.table_name, settings.log_name)
    if not _NAME.fullmatch(name) or name in reserved or STAGING in name:
        msg = f"{path.name} cannot be a curated table: its name is taken, or no table can have it."
        raise BuildError(
            msg, hint=f"Use lower-case letters, digits and _, and neither {' nor '.join(reserved)}."
        )
    return parse_file(name, path.read_text(encoding="utf-8"), settings.namespace)


def parse_file(name: str, text: str, namespace: str) -> CuratedFile:
    """Parse the text of a SQL file.

    Args:
        name: Name of the curated table.
        text: The header and the SELECT.
        namespace: Where tables without a qualifier are.

    Raises:
        BuildError: The header cannot be read, or it is not known which tables the SELECT reads.
    """
    lines = text.splitlines()
    start = next(
        (n for n, line in enumerate(lines) if line.strip() and not line.startswith("--")), len(lines)
    )
    found: dict[str, list[str]] = {"build": [], "inputs": [], "check": [], "chart": []}
    for kind, value in _directives(name, lines[:start]):
        found[kind].append(value)
    select = "\n".join(line for line in lines[start:] if not line.startswith("--")).strip().rstrip(";")
    inputs, elsewhere = _inputs(name, select, namespace, found["inputs"])
    return CuratedFile(
        name,
        select,
        inputs,
        elsewhere,
        _incremental(name, found["build"]),
        tuple(read_check(value, name) for value in found["check"]),
        tuple(chart for value in found["chart"] for chart in _listed(value)),
    )


def _directives(name: str, header: list[str]) -> Iterator[tuple[str, str]]:
    """What the header declares; a line that is indented continues the one above it."""
    kind, value = "", ""
    for line in [*header, ""]:
        more = _MORE.fullmatch(line) if kind else None
        if more:
            value += f"\n{more[1]}"
            continue
        if kind:
            yield kind, value.strip()
        match = _DIRECTIVE.fullmatch(line)
        kind, value = (match[1], match[2]) if match else ("", "")
        if not match and (odd := _LOOKS_LIKE.match(line)) and odd[1] in _MISSPELLED:
            msg = f"{name}.sql has the line {line!r}, which declares nothing."
            raise BuildError(msg, hint=f"Write `-- {_MISSPELLED[odd[1]]}: …`.")


_MISSPELLED = {
    **dict.fromkeys(("checks", "test", "tests", "Check"), "check"),
    **dict.fromkeys(("input", "depends", "Inputs"), "inputs"),
    **dict.fromkeys(("builds", "materialized", "Build"), "build"),
    **dict.fromkeys(("charts", "Chart", "picture"), "chart"),
}


def _listed(text: str) -> list[str]:
    return [part.strip().strip('"') for part in text.split(",") if part.strip()]


def _inputs(
    name: str, select: str, namespace: str, declared: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        read = [part.lower() for part in _listed(",".join(declared))] if declared else tables_read(select)
    except QueryError as error:
        raise BuildError(f"{name}.sql: {error.message}", hint=error.hint) from error
    parts = [table.split(".") for table in read]
    inside = [part[-1] for part in parts if part[:-1] in ([], [namespace.lower()])]
    elsewhere = [".".join(part) for part in parts if part[:-1] not in ([], [namespace.lower()])]
    return tuple(dict.fromkeys(inside)), tuple(elsewhere)


def _incremental(name: str, lines: list[str]) -> Incremental | None:
    text = ", ".join(lines) or "full"
    if text == "full":
        return None
    kind, _, rest = text.partition(",")
    parts = dict(_PART.findall(rest))
    key, lookback = _listed(parts.get("key", "")), _LOOKBACK.fullmatch(parts.get("lookback", "0").strip())
    watermark = _listed(parts.get("watermark", ""))
    odd = _PART.sub("", rest).replace(",", "").strip()
    if kind.strip() != "incremental" or odd or not key or len(watermark) != 1 or not lookback:
        raise BuildError(f"{name}.sql has `-- build: {text}`, which cannot be read.", hint=_BUILD_HINT)
    back = f"INTERVAL '{lookback[1]}' {lookback[2].upper()}" if lookback[2] else lookback[1]
    return Incremental(tuple(c.lower() for c in key), watermark[0].lower(), "" if back == "0" else back)


def implied_checks(file: CuratedFile) -> tuple[Check, ...]:
    """The checks of a file, and those without which an incremental build would not be exact."""
    if file.incremental is None:
        return file.checks
    key = ", ".join(map(quoted, file.incremental.key))
    needed = (f"unique({key})", f"not_null({key}, {quoted(file.incremental.watermark)})")
    return (*(read_check(text, file.name) for text in needed), *file.checks)


def build_of(file: CuratedFile) -> Build:
    """What the statements of a file's table are made from."""
    how = file.incremental or Incremental((), "")
    checks = tuple((check.text, check.broken) for check in implied_checks(file))
    tables = (file.inputs, file.elsewhere)
    return Build(file.name, file.select, file.digest, *tables, how.key, how.watermark, how.lookback, checks)
