"""How a row of the table of functions says what DuckDB is to run.

A spelling is one of
    a name             DuckDB's own function of that meaning
    a macro            `(x) := lower(x)`; one per argument types, created as `trino_<name>`
    a template         `map_from_entries(AGG(list(row({0}, {1}))))`; {0} is the first argument. AGG marks the
                       aggregate that takes FILTER, DISTINCT, ORDER BY and OVER
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One spelling of a macro.

    Attributes:
        name: The macro that is this spelling alone.
        types: The type of each parameter, or None for any.
        parameters: The names of the parameters.
        body: DuckDB's expression.
    """

    name: str
    types: tuple[str | None, ...]
    parameters: tuple[str, ...]
    body: str

    @property
    def head(self) -> str:
        """The parameters with their types."""
        pairs = zip(self.parameters, self.types, strict=True)
        return ", ".join(f"{name} {kind or ''}".strip() for name, kind in pairs)

    def takes(self, kinds: Sequence[str | None]) -> bool:
        """Whether arguments of these types are for this spelling."""
        pairs = zip(self.types, kinds, strict=False)
        return len(self.types) == len(kinds) and all(
            t is None or k in ACCEPTED.get(t, (t,)) for t, k in pairs
        )


ACCEPTED = {
    "INTEGER": ("TINYINT", "SMALLINT", "INTEGER"),
    "BIGINT": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT"),
    "DOUBLE": ("FLOAT", "DOUBLE"),
    "VARCHAR": ("VARCHAR", "TEXT LITERAL"),
    "TIMESTAMPTZ": ("TIMESTAMP WITH TIME ZONE",),
}
ONLY_WHEN_KNOWN = ("JSON",)


def read_variant(name: str, spelling: str) -> Variant:
    """A spelling of a macro, `(unit, x DATE) := …`, taken apart."""
    head, _, body = spelling.partition(":=")
    words = [parameter.split() for parameter in head.strip()[1:-1].split(",") if parameter.strip()]
    types = tuple(" ".join(word[1:]) or None for word in words)
    return Variant(name, types, tuple(word[0] for word in words), body.strip())


@dataclass(frozen=True)
class Function:
    """One of Athena's functions.

    Attributes:
        name: Athena's name, lower case.
        meaning: What it answers, in a few words, where that is not what the name says.
        spellings: DuckDB's name, its template, or its macros.
    """

    name: str
    meaning: str
    spellings: tuple[str, ...]

    @property
    def is_macro(self) -> bool:
        """Whether the spelling is a macro, or several for several argument types."""
        return self.spellings[0].startswith("(") and ":=" in self.spellings[0]

    @property
    def is_template(self) -> bool:
        """Whether the spelling is a template."""
        return not self.is_macro and "{" in self.spellings[0]

    @property
    def target(self) -> str:
        """The name to call in DuckDB."""
        return f"trino_{self.name}" if self.is_macro else self.spellings[0]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The spellings of a macro, those of known types first."""
        read = [read_variant(f"{self.target}__{i}", spelling) for i, spelling in enumerate(self.spellings)]
        return tuple(sorted(read, key=lambda variant: all(t is None for t in variant.types)))

    @property
    def depends_on_types(self) -> bool:
        """Whether the arguments' types decide between spellings."""
        return self.is_macro and len(self.spellings) > 1 and any(any(v.types) for v in self.variants)

    def definitions(self) -> list[str]:
        """The statements that create the macro.

        DuckDB chooses between spellings by itself where an argument's type is plain; it does not see the type
        of an aggregate. The translation therefore names the spelling if it knows the types.
        """
        usable = (v for v in self.variants if not any(t in ONLY_WHEN_KNOWN for t in v.types))
        overloads = ", ".join(f"({v.head}) AS {v.body}" for v in usable)
        single = [f"CREATE MACRO {v.name}({', '.join(v.parameters)}) AS {v.body}" for v in self.variants]
        return [f"CREATE MACRO {self.target}{overloads}", *(single if self.depends_on_types else [])]


def same(*names: str) -> list[Function]:
    """Functions that DuckDB has under the same name, with the same meaning."""
    return [Function(name, "", (name,)) for name in names]


def row(name: str, meaning: str, *spellings: str) -> Function:
    """One row of the table."""
    return Function(name, meaning, spellings)
