"""What every benchmark prints: a line for each figure, with its peer, their ratio and the limit.

Example:
    >>> rates = medians({"ours": rows_a_second, "theirs": rows_a_second_of_the_peer}, rounds=5)
    >>> print_header("rows/s")
    >>> print_row("parsing", rates["ours"], rates["theirs"], at_least(0.5))
    parsing                                      120,000     200,000      0.6   at least 0.5   ok
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """What a ratio has to reach, or must not pass.

    Attributes:
        value: The limit.
        upper: Whether it is the most that is allowed, and not the least.
    """

    value: float
    upper: bool

    def __str__(self) -> str:
        return f"at {'most' if self.upper else 'least'} {self.value:g}"

    def met(self, figure: float) -> bool:
        """Whether a figure keeps within it."""
        return figure <= self.value if self.upper else figure >= self.value


def at_least(value: float) -> Limit:
    """A limit from below."""
    return Limit(value, upper=False)


def at_most(value: float) -> Limit:
    """A limit from above."""
    return Limit(value, upper=True)


def medians(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measure over rounds in which each has its turn.

    Args:
        measures: By name, what measures once and returns its figure.
        rounds: Number of rounds.
    """
    figures = [{name: measure() for name, measure in measures.items()} for _ in range(rounds)]
    return {name: statistics.median(of_round[name] for of_round in figures) for name in measures}


def print_header(unit: str) -> None:
    """Print what the columns are.

    Args:
        unit: Unit of the figures, such as `rows/s`.
    """
    print(f"{unit:<40}{'ours':>12}{'peer':>12}{'ratio':>9}   limit")


def print_row(name: str, ours: float, peer: float | None, limit: Limit | None) -> None:
    """Print one figure, and whether it keeps within its limit.

    Args:
        name: What was measured, and against which peer.
        ours: Our figure.
        peer: The peer's; None where the limit is for the figure itself.
        limit: For the ratio ours / peer; None where nothing is promised.
    """
    ratio = None if peer is None else ours / peer
    judged = ours if ratio is None else ratio
    verdict = "" if limit is None else f"   {limit}   {'ok' if limit.met(judged) else 'short'}"
    print(f"{name:<40}{shown(ours):>12}{shown(peer):>12}{shown(ratio):>9}{verdict}", flush=True)


def shown(figure: float | None) -> str:
    """A figure with three digits or more, or nothing where there is none."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
