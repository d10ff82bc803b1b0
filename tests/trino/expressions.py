"""Expressions made from Trino's own list of functions: types × functions × values at the edges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from tests.trino import values as v

SEED = 13
WANTED = 2_000
ARITHMETIC = ("+", "-", "*", "/", "%")
ESCAPES = ("", " ESCAPE '#'")
COMPARISONS = ("=", "<>", "<", ">=", "IS DISTINCT FROM")
ELEMENTS = ("integer", "varchar", "double", "decimal", "date", "boolean", "bigint", "timestamp")
CHANCE = frozenset(
    "now random rand uuid shuffle current_timezone approx_percentile approx_distinct approx_most_frequent".split()
)
"""Functions whose answer is not one value."""

Signature = Sequence[str]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


WORDS: dict[tuple[str, int], Sequence[str]] = {
    **{(name, 0): [quoted(unit) for unit in v.UNITS] for name in ("date_add", "date_diff", "date_trunc")},
    ("date_add", 1): ("1", "-1", "13", "0", "BIGINT '100000'"),
    ("date_format", 1): [quoted(text) for text in v.MYSQL],
    ("format_datetime", 1): [quoted(text) for text in v.JODA],
    **{(name, 1): v.ZONES for name in ("at_timezone", "with_timezone")},
    **{
        (f"url_extract_{part}", 0): v.URLS
        for part in "fragment host parameter path port protocol query".split()
    },
    ("url_extract_parameter", 1): ("'k'", "'k2'", "'e'", "'none'"),
    ("url_decode", 0): ("'a%20b+c'", "'%C3%A4'", "'%'", "''"),
    ("from_base", 0): ("'ff'", "'-101'", "'zz'", "'12'", "''"),
    **{(name, 1): ("16", "2", "36", "1", "10") for name in ("from_base", "to_base")},
    ("from_base64", 0): ("'YWJj'", "'YWI='", "'%%'", "''"),
    ("from_hex", 0): ("'00ff'", "'abc'", "''", "'zz'"),
    ("from_iso8601_date", 0): ("'2024-02-29'", "'2024-W09-4'", "'2024-060'", "'2023-02-29'", "'20240229'"),
    ("from_iso8601_timestamp", 0): (
        "'2024-02-29T12:34:56.789Z'",
        "'2024-02-29T12:34+02:00'",
        "'2024-02-29'",
        "'x'",
    ),
    ("from_iso8601_timestamp_nanos", 0): ("'2024-02-29T12:34:56.123456789Z'",),
    ("from_unixtime", 0): ("0", "1709210096.789e0", "-1.5e0", "1e12", "1709210096"),
    ("from_unixtime", 1): ("'Europe/Berlin'", "'UTC'", "2", "-5"),
    ("from_unixtime", 2): ("30", "0"),
    ("from_unixtime_nanos", 0): ("1709210096123456789", "0", "-1", "DECIMAL '1500000000.5'"),
    **{
        (name, 1): ("5", "2", "0", "-1", "10")
        for name in ("lpad", "rpad", "repeat", "ngrams", "trim_array", "ntile")
    },
    **{(name, 2): ("'*'", "'ab'", "''") for name in ("lpad", "rpad")},
    **{
        (name, 1): ("1", "2", "-2", "0", "10")
        for name in ("substr", "slice", "element_at", "round", "truncate")
    },
    **{(name, 2): ("2", "0", "-1", "100") for name in ("substr", "slice")},
    ("normalize", 1): (),
    **{(name, i): ("1", "5", "-2", "2") for name in ("sequence",) for i in range(3)},
    **{(name, 1): ("1", "2", "70", "-1", "0") for name in ("bitwise_left_shift", "bitwise_right_shift")},
    **{
        (name, 1): ("','", "'b'", "''", "'c'")
        for name in ("split", "split_part", "strpos", "replace", "starts_with", "concat_ws")
    },
    **{(name, 2): ("1", "2", "0", "-1", "9") for name in ("split", "split_part", "strpos")},
    **{(name, 0): ("'a=1,b=2'", "'a=1,a=2'", "''", "'a'") for name in ("split_to_map", "split_to_multimap")},
    **{(name, 1): ("','",) for name in ("split_to_map", "split_to_multimap")},
    **{(name, 2): ("'='",) for name in ("split_to_map", "split_to_multimap")},
    ("translate", 1): ("'ab'", "'abc'", "''"),
    ("translate", 2): ("'xy'", "''", "'x'"),
    **{(name, 1): ("' A'", "'ab'", "''") for name in ("trim", "ltrim", "rtrim")},
    **{
        (name, 0): ("'abcabc'", "''", "'aXb12,c'", "'ä b'")
        for name in (
            "regexp_count",
            "regexp_extract",
            "regexp_extract_all",
            "regexp_like",
            "regexp_position",
            "regexp_replace",
            "regexp_split",
        )
    },
    **{
        (name, 2): ("1", "2", "0", "9")
        for name in ("regexp_extract", "regexp_extract_all", "regexp_position")
    },
    ("regexp_position", 3): ("1", "2"),
    ("regexp_replace", 2): ("'<$0>'", "'$1'", "''", "'\\\\'", "'$2x'", "'${n}'"),
    ("chr", 0): ("65", "8364", "128512", "-1", "0"),
    ("codepoint", 0): ("'A'", "'€'", "'😀'", "CAST('x' AS varchar(1))"),
    ("json_array_get", 1): ("0", "1", "-1", "9"),
    ("from_utf8", 1): ("'?'", "'x'"),
    **{
        ("width_bucket", i): values
        for i, values in enumerate(
            (("3.5e0", "-1e0", "10e0", "nan()"), ("0e0", "10e0"), ("10e0", "0e0"), ("4", "0"))
        )
    },
    ("nth_value", 1): ("1", "2", "9"),
    **{(name, 1): ("1", "2", "0") for name in ("lag", "lead", "max", "min")},
    **{(name, 2): ("1", "2") for name in ("max_by", "min_by")},
    ("to_iso8601", 9): (),
}

LAMBDAS: dict[str, Sequence[str]] = {
    "function(t,boolean)": ("x -> x IS NOT NULL", "x -> x = x", "x -> CAST(x AS varchar) > '2'", "x -> NULL"),
    "function(t,u)": ("x -> x", "x -> CAST(x AS varchar)", "x -> ARRAY[x]", "x -> x + 1", "x -> x / 2"),
    "function(t,t,integer)": ("(a, b) -> IF(a < b, 1, IF(a = b, 0, -1))",),
    "function(array(varchar),varchar(x))": ("g -> upper(g[1])", "g -> 'z'"),
    "function(k,v,boolean)": ("(k, v) -> v IS NOT NULL", "(k, v) -> k = k", "(k, v) -> false"),
    "function(k1,v,k2)": ("(k, v) -> CAST(k AS varchar) || 'x'", "(k, v) -> k", "(k, v) -> 1"),
    "function(k,v1,v2)": ("(k, v) -> v", "(k, v) -> CAST(v AS varchar)", "(k, v) -> coalesce(v, v)"),
    "function(t,u,r)": (
        "(x, y) -> x",
        "(x, y) -> CAST(x AS varchar) || CAST(y AS varchar)",
        "(x, y) -> ROW(x, y)",
    ),
    "function(s,t,s)": ("(s, x) -> s + coalesce(x, 0)", "(s, x) -> s + x"),
    "function(s,r)": ("s -> s", "s -> s / 2", "s -> CAST(s AS varchar)"),
}


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


def functions(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
    """Calls of scalar functions: each signature in turn, with usual values first."""
    found = [
        (s[0], outside(s[2]))
        for s in signatures
        if s[3] == "scalar" and s[0] not in CHANCE and "ipaddress" not in s[2]
    ]
    found = [f for f in found if not {"hyperloglog", "setdigest"} & set(f[1])]
    for turn in range(100):
        for name, kinds in found:
            yield f"SELECT {scalar(maker, name, kinds, turn > 0)} AS v"


ROWS = 4


def aggregates(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
    """Aggregates and window functions over a few rows."""
    found = [
        (s[0], outside(s[2]), s[3])
        for s in signatures
        if s[3] in ("aggregate", "window") and s[0] not in CHANCE
    ]
    for turn in range(100):
        for name, kinds, role in found:
            bound: dict[str, str] = {}
            edge = turn > 0
            columns = [c for i, c in enumerate("abc") if i < len(kinds) and (name, i) not in WORDS]
            rows = ", ".join(
                f"({', '.join([str(n), *(maker.value(kinds[i], bound, edge) for i in range(len(columns)))])})"
                for n in range(ROWS)
            )
            fixed = [maker.argument(name, i, kinds[i], bound, edge) for i in range(len(columns), len(kinds))]
            source = f"FROM (VALUES {rows}) AS t({', '.join(['n', *columns])})"
            arguments = ", ".join([*columns, *fixed])
            if name == "listagg":
                yield f"SELECT listagg(CAST(n AS varchar), '{maker.random.choice(',;')}') WITHIN GROUP (ORDER BY n DESC) AS v {source}"
                continue
            if name == "count" and not kinds:
                arguments = "*"
            order = (
                " ORDER BY n"
                if name in ("array_agg", "arbitrary", "any_value", "map_agg", "multimap_agg")
                else ""
            )
            call = f"{name}({arguments}{order})" if role == "aggregate" else f"{name}({arguments})"
            if role == "window" or (edge and maker.random.random() < 0.2 and not order):
                frame = (
                    maker.random.choice(("", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"))
                    if role == "aggregate"
                    else ""
                )
                yield f"SELECT {call} OVER (ORDER BY n{frame}) AS v {source} ORDER BY n"
            else:
                filtered = (
                    maker.random.choice(("", "", " FILTER (WHERE n > 1)", " FILTER (WHERE n > 9)"))
                    if edge
                    else ""
                )
                yield f"SELECT {call}{filtered} AS v {source}"


def operators(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
    """Arithmetic and comparisons of every pair of numbers, and of other types now and then."""
    pairs = [(a, b) for a in v.NUMBERS for b in v.NUMBERS]
    while True:
        maker.random.shuffle(pairs)
        for a, b in pairs:
            symbol = maker.random.choice((*ARITHMETIC, *ARITHMETIC, *COMPARISONS))
            kinds = (a, b) if maker.random.random() < 0.9 else (a, maker.random.choice(sorted(v.VALUES)))
            x, y = (maker.plain(kind, maker.random.random() < 0.6) for kind in kinds)
            yield f"SELECT {x} {symbol} {y} AS v"


def casts(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
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


def moments(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
    """Moments and intervals: sums, zones, fields, comparisons."""
    fields = (
        "YEAR MONTH DAY HOUR MINUTE SECOND WEEK QUARTER DAY_OF_WEEK DOY YEAR_OF_WEEK TIMEZONE_HOUR".split()
    )
    intervals = ("interval day to second", "interval year to month")
    while True:
        a, b = (maker.plain(maker.random.choice(v.MOMENTS), True) for _ in range(2))
        interval = maker.plain(maker.random.choice(intervals), False)
        yield maker.random.choice(
            (
                f"SELECT {a} {maker.random.choice('+-')} {interval} AS v",
                f"SELECT {a} {maker.random.choice('+-')} {interval} AS v",
                f"SELECT {a} - {b} AS v",
                f"SELECT {a} {maker.random.choice(COMPARISONS)} {b} AS v",
                f"SELECT {a} AT TIME ZONE {maker.random.choice(v.ZONES)} AS v",
                f"SELECT CAST({a} AT TIME ZONE {maker.random.choice(v.ZONES)} AS varchar) AS v",
                f"SELECT EXTRACT({maker.random.choice(fields)} FROM {a}) AS v",
                f"SELECT {interval} {maker.random.choice(('* 2', '/ 2', '* 1.5e0', '+ ' + interval))} AS v",
                f"SELECT ARRAY[{a}, {b}] AS v",
            )
        )


def forms(maker: Maker, signatures: Iterable[Signature], wanted: int) -> Iterator[str]:
    """CASE, IN, BETWEEN, LIKE, subscripts, rows, ||, TRY, NULLIF, COALESCE, IF, format, UNNEST, VALUES."""
    while True:
        kind = maker.random.choice(ELEMENTS)
        a, b, c = (
            maker.plain(kind if maker.random.random() < 0.8 else maker.random.choice(ELEMENTS), True)
            for _ in range(3)
        )
        text = maker.plain("varchar", True)
        yield maker.random.choice(
            (
                f"SELECT CASE WHEN {a} = {b} THEN {a} ELSE {c} END AS v",
                f"SELECT CASE {a} WHEN {b} THEN 'x' WHEN {c} THEN 'yy' END AS v",
                f"SELECT {a} IN ({b}, {c}) AS v",
                f"SELECT {a} BETWEEN {b} AND {c} AS v",
                f"SELECT {text} LIKE '{maker.random.choice(('a%', '_b_', '%', '', '#%x'))}'{maker.random.choice(ESCAPES)} AS v",
                f"SELECT ARRAY[{a}, {b}][{maker.random.choice(('1', '2', '3', '0', '-1'))}] AS v",
                f"SELECT MAP(ARRAY['a'], ARRAY[{a}])['{maker.random.choice('ab')}'] AS v",
                f"SELECT ROW({a}, {b})[{maker.random.choice('12')}] AS v",
                f"SELECT CAST(ROW({a}, {text}) AS ROW(p {v.TYPE_NAMES.get(kind, kind)}, q varchar)) AS v",
                f"SELECT {text} || {maker.plain(maker.random.choice(('varchar', 'varchar', 'integer', 'char')), True)} AS v",
                f"SELECT ARRAY[{a}] || {maker.random.choice((f'ARRAY[{b}]', b))} AS v",
                f"SELECT TRY(CAST({text} AS {maker.random.choice(v.CAST_TARGETS)})) AS v",
                f"SELECT nullif({a}, {b}) AS v",
                f"SELECT coalesce({a}, {b}) AS v",
                f"SELECT if({a} < {b}, {a}, {c}) AS v",
                f"SELECT ARRAY[{a}, {b}] AS v",
                f"SELECT format('{maker.random.choice(('%s', '%5s|', '%-5s|', '%d', '%05d', '%,d', '%.2f', '%x', '%e', '%s %s', '%%'))}', {a}) AS v",
                f"SELECT x AS v FROM UNNEST(ARRAY[{a}, {b}]) WITH ORDINALITY AS t(x, n) ORDER BY n",
                f"SELECT x AS v FROM (VALUES {a}, {b}) AS t(x) ORDER BY x{maker.random.choice(('', ' DESC', ' NULLS FIRST'))}",
                f"SELECT x AS v FROM (SELECT {a} AS x UNION SELECT {b}) ORDER BY 1",
                f"SELECT json_format(CAST({maker.random.choice((a, f'ARRAY[{a}, {b}]', f'ROW({a}, {b})'))} AS json)) AS v",
                f"SELECT CAST(json_parse({maker.random.choice(v.JSON_TEXTS)}) AS {maker.random.choice(('varchar', 'bigint', 'array(varchar)', 'map(varchar,json)', 'double'))}) AS v",
            )
        )


SHARES: tuple[tuple[Callable[[Maker, Iterable[Signature], int], Iterator[str]], int], ...] = (
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
        source, before = make(Maker(SEED + number), listed, share), len(found)
        for sql in source:
            found.setdefault(sql)
            if len(found) - before == share:
                break
    return list(found)
