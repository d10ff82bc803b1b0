"""How a row of the table of functions says what DuckDB is to run.

A spelling is one of
    a name             DuckDB's own function of that meaning
    a macro            `(x) := lower(x)`; one per argument types, created as `trino_<name>`
    a template         `map_from_entries(AGG(list(row({0}, {1}))))`; {0} is the first argument. AGG marks the
                       aggregate that takes FILTER, DISTINCT, ORDER BY and OVER
"""

from __future__ import annotations

from dataclasses import dataclass


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

    def definition(self) -> str:
        """The statement that creates the macro."""
        overloads = (spelling.split(":=", 1) for spelling in self.spellings)
        bodies = ", ".join(f"{parameters.strip()} AS {body.strip()}" for parameters, body in overloads)
        return f"CREATE OR REPLACE MACRO {self.target}{bodies}"


def same(*names: str) -> list[Function]:
    """Functions that DuckDB has under the same name, with the same meaning."""
    return [Function(name, "", (name,)) for name in names]


def row(name: str, meaning: str, *spellings: str) -> Function:
    """One row of the table."""
    return Function(name, meaning, spellings)
