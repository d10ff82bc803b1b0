"""Expressions made from Trino's own list of functions: types by functions by values at the edges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random

from tests.trino import values as v
from tests.trino.words import CHOICES, FORMS, LAMBDAS, MOMENT_FORMS, WORDS, quoted

SEED = 13
TURNS = 100
ELEMENTS = ("integer", "varchar", "double", "decimal", "date", "boolean", "bigint", "timestamp")
CHANCE = (
    "now",
    "random",
    "rand",
    "uuid",
    "shuffle",
    "current_timezone",
    "approx_percentile",
    "approx_distinct",
)
"""Functions whose answer is not one value."""

ORDERED = ("array_agg", "arbitrary", "any_value", "map_agg", "multimap_agg")
FRAMES = ("", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW")
FILTERS = ("", "", " FILTER (WHERE n > 1)", " FILTER (WHERE n > 9)")
ROWS = 4
INTERVALS = ("interval day to second", "interval year to month")

Signature = Sequence[str]


def outside(text: str) -> list[str]:
    """The parts between commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


class Maker:
    """Draws values of types; names of types without a value, such as T, are bound for one expression."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def null(self, kind: str) -> str:
        return f"CAST(NULL AS {v.TYPE_NAMES.get(kind, kind)})"

    def plain(self, kind: str, edge: bool) -> str:
        values = v.VALUES[kind]
        if edge and self.random.random() < 0.12:
            return self.null(kind)
        return self.random.choice(values if edge else values[:2])

    def value(self, kind: str, bound: dict[str, str], edge: bool) -> str:
        """A literal of a type as SHOW FUNCTIONS writes it."""
        name = kind.lower()
        if name.startswith("function("):
            return self.random.choice(
                LAMBDAS.get(name, LAMBDAS.get(re.sub(r"\be\b", "t", name), ("x -> x",)))
            )
        if name == "joniregexp":
            return quoted(self.random.choice(v.PATTERNS))
        if name == "jsonpath":
            return quoted(self.random.choice(v.PATHS))
        if name == "codepoints":
            return self.random.choice(("' a'", "'b'"))
        base = (
            re.sub(r"\((?:\w+(?:, ?\w+)?)\)(?= with|$)", "", name)
            if not name.startswith(("array", "map", "row"))
            else name
        )
        if base in v.VALUES:
            return self.plain(base, edge)
        if name.startswith("array("):
            inner = name[6:-1]
            if inner.startswith("row("):
                k, w = outside(inner[4:-1])
                rows = [f"({self.value(k, bound, edge)}, {self.value(w, bound, edge)})" for _ in range(2)]
                return f"ARRAY[{', '.join(rows)}]"
            count = self.random.choice((3, 2, 1)) if not edge else self.random.choice((4, 3, 0, 2))
            return f"ARRAY[{', '.join(self.value(inner, bound, edge) for _ in range(count))}]"
        if name.startswith("map("):
            k, w = outside(name[4:-1])
            keys = [self.value(k, bound, False), self.value(k, bound, False)]
            keys = keys[: len(set(keys))]
            return (
                f"MAP(ARRAY[{', '.join(keys)}], ARRAY[{', '.join(self.value(w, bound, edge) for _ in keys)}])"
            )
        if name not in bound:
            bound[name] = self.random.choice(ELEMENTS)
        return self.plain(bound[name], edge)

    def filled(self, form: str, slots: Mapping[str, str]) -> str:
        """A form with its slots filled, from those given or else from the choices."""
        return re.sub(
            r"<(\w+)>", lambda found: slots.get(found[1]) or self.random.choice(CHOICES[found[1]]), form
        )

    def argument(self, function: str, index: int, kind: str, bound: dict[str, str], edge: bool) -> str:
        words = WORDS.get((function, index))
        if words and self.random.random() < 0.95:
            return self.random.choice(words)
        if function.startswith(("json_", "is_json")) and index == 0 and kind.startswith("varchar"):
            return self.random.choice(v.JSON_TEXTS)
        return self.value(kind, bound, edge)


def scalar(maker: Maker, name: str, kinds: Sequence[str], edge: bool) -> str:
    if name == "date_parse":
        return f"date_parse({', '.join(map(quoted, maker.random.choice(v.MYSQL_TEXTS)))})"
    if name == "parse_datetime":
        return f"parse_datetime({', '.join(map(quoted, maker.random.choice(v.JODA_TEXTS)))})"
    if name == "normalize":
        return f"normalize({maker.plain('varchar', edge)}{maker.random.choice(('', ', NFD', ', NFKC'))})"
    if name == "reduce":
        array, step, end = (
            maker.value(kind, {}, edge) for kind in ("array(integer)", "function(s,t,s)", "function(s,r)")
        )
        return f"reduce({array}, 0, {step}, {end})"
    bound: dict[str, str] = {}
    if any("function(T,U)" in kind for kind in kinds):
        bound["t"] = maker.random.choice(("integer", "decimal", "double", "bigint"))
    written = [maker.argument(name, i, kind, bound, edge) for i, kind in enumerate(kinds)]
    if name in ("concat", "greatest", "least", "map_concat", "concat_ws") and len(kinds) <= 2:
        written.append(maker.argument(name, len(kinds), kinds[-1], bound, edge))
    return f"{name}({', '.join(written)})"


def functions(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """Calls of scalar functions: each signature in turn, with usual values first."""
    found = [
        (s[0], outside(s[2]))
        for s in signatures
        if s[3] == "scalar" and s[0] not in CHANCE and "ipaddress" not in s[2]
    ]
    found = [f for f in found if not {"hyperloglog", "setdigest"} & set(f[1])]
    for turn in range(TURNS):
        for name, kinds in found:
            yield f"SELECT {scalar(maker, name, kinds, turn > 0)} AS v"


def aggregates(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """Aggregates and window functions over a few rows."""
    called = [s for s in signatures if s[3] in ("aggregate", "window") and s[0] not in CHANCE]
    for turn in range(TURNS):
        for name, _, arguments, role, *_ in called:
            yield aggregate(maker, name, outside(arguments), role, edge=turn > 0)


def aggregate(maker: Maker, name: str, kinds: Sequence[str], role: str, *, edge: bool) -> str:
    """One call, of columns where the function takes any value there."""
    bound: dict[str, str] = {}
    columns = [c for i, c in enumerate("abc") if i < len(kinds) and (name, i) not in WORDS]
    rows = [
        ", ".join([str(n), *(maker.value(kinds[i], bound, edge) for i, _ in enumerate(columns))])
        for n in range(ROWS)
    ]
    source = f"FROM (VALUES {', '.join(f'({row})' for row in rows)}) AS t({', '.join(['n', *columns])})"
    if name == "listagg":
        texts = f"CAST(n AS varchar), '{maker.random.choice(',;')}'"
        return f"SELECT listagg({texts}) WITHIN GROUP (ORDER BY n DESC) AS v {source}"
    fixed = [maker.argument(name, i, kinds[i], bound, edge) for i in range(len(columns), len(kinds))]
    written = ", ".join([*columns, *fixed]) or ("*" if name == "count" else "")
    order = " ORDER BY n" if name in ORDERED else ""
    call = f"{name}({written}{order})"
    if role == "window" or (edge and not order and maker.random.random() < 0.2):
        frame = maker.random.choice(FRAMES) if role == "aggregate" else ""
        return f"SELECT {call} OVER (ORDER BY n{frame}) AS v {source} ORDER BY n"
    return f"SELECT {call}{maker.random.choice(FILTERS) if edge else ''} AS v {source}"


def operators(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """Arithmetic and comparisons of every pair of numbers, and of other types now and then."""
    pairs = [(a, b) for a in v.NUMBERS for b in v.NUMBERS]
    while True:
        maker.random.shuffle(pairs)
        for a, b in pairs:
            symbol = maker.random.choice((*"+-*/%+-*/%", *CHOICES["comparison"]))
            kinds = (a, b) if maker.random.random() < 0.9 else (a, maker.random.choice(sorted(v.VALUES)))
            x, y = (maker.plain(kind, maker.random.random() < 0.6) for kind in kinds)
            yield f"SELECT {x} {symbol} {y} AS v"


def casts(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """Every type to every other."""
    # A time as a timestamp has the day of today.
    pairs = [
        (a, b)
        for a in sorted(v.VALUES)
        for b in v.CAST_TARGETS
        if a != "time" or not b.startswith("timestamp")
    ]
    while True:
        maker.random.shuffle(pairs)
        for kind, to in pairs:
            word = maker.random.choice(("CAST", "CAST", "TRY_CAST"))
            yield f"SELECT {word}({maker.random.choice(v.VALUES[kind])} AS {to}) AS v"


def moments(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """Moments and intervals: sums, zones, fields, comparisons."""
    while True:
        slots = {name: maker.plain(maker.random.choice(v.MOMENTS), True) for name in "ab"}
        slots["interval"] = maker.plain(maker.random.choice(INTERVALS), False)
        yield f"SELECT {maker.filled(maker.random.choice(MOMENT_FORMS), slots)} AS v"


def forms(maker: Maker, signatures: Iterable[Signature]) -> Iterator[str]:
    """What is no function: CASE, IN, LIKE, subscripts, rows, VALUES, UNNEST and others."""
    while True:
        kind = maker.random.choice(ELEMENTS)
        kinds = {n: kind if maker.random.random() < 0.8 else maker.random.choice(ELEMENTS) for n in "abc"}
        slots = {name: maker.plain(of, True) for name, of in kinds.items()}
        slots |= {"text": maker.plain("varchar", True), "type": v.TYPE_NAMES.get(kinds["a"], kinds["a"])}
        slots["other"] = maker.plain(maker.random.choice(("varchar", "varchar", "integer", "char")), True)
        written = maker.filled(maker.random.choice(FORMS), slots)
        yield f"SELECT {written}" if " FROM " in written else f"SELECT {written} AS v"


SHARES: tuple[tuple[Callable[[Maker, Iterable[Signature]], Iterator[str]], int], ...] = (
    (functions, 780),
    (aggregates, 270),
    (operators, 330),
    (casts, 330),
    (moments, 130),
    (forms, 160),
)


def expressions(signatures: Iterable[Signature]) -> list[str]:
    """The expressions, each once; the same for the same list of functions."""
    listed = sorted({tuple(map(str, signature[:4])) for signature in signatures})
    found: dict[str, None] = {}
    for number, (make, share) in enumerate(SHARES):
        source, before = make(Maker(SEED + number), listed), len(found)
        for sql in source:
            found.setdefault(sql)
            if len(found) - before == share:
                break
    return list(found)
