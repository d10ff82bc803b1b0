"""The words that arguments of some functions want, and the lambdas of others."""

from __future__ import annotations

from collections.abc import Sequence

from tests.trino import values as v


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
        for part in ["fragment", "host", "parameter", "path", "port", "protocol", "query"]
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


CHOICES: dict[str, Sequence[str]] = {
    "comparison": ("=", "<>", "<", ">=", "IS DISTINCT FROM"),
    "sign": ("+", "-"),
    "zone": v.ZONES,
    "field": [
        "YEAR",
        "MONTH",
        "DAY",
        "HOUR",
        "MINUTE",
        "SECOND",
        "WEEK",
        "QUARTER",
        "DAY_OF_WEEK",
        "DOY",
        "TIMEZONE_HOUR",
    ],
    "factor": ("* 2", "/ 2", "* 1.5e0"),
    "like": ("'a%'", "'_b_'", "'%'", "''", "'#%x' ESCAPE '#'"),
    "index": ("1", "2", "3", "0", "-1"),
    "field_number": ("1", "2"),
    "key": ("'a'", "'b'"),
    "target": v.CAST_TARGETS,
    "format": [
        f"'{f}'" for f in ["%s", "%5s|", "%-5s|", "%d", "%05d", "%,d", "%.2f", "%x", "%e", "%%", "%s-%s"]
    ],
    "order": ("", " DESC", " NULLS FIRST"),
    "json": v.JSON_TEXTS,
    "json_target": ("varchar", "bigint", "array(varchar)", "map(varchar,json)", "double"),
}
"""What a slot of a form may be filled with."""

MOMENT_FORMS = (
    "<a> <sign> <interval>",
    "<a> <sign> <interval>",
    "<a> - <b>",
    "<a> <comparison> <b>",
    "<a> AT TIME ZONE <zone>",
    "CAST(<a> AT TIME ZONE <zone> AS varchar)",
    "EXTRACT(<field> FROM <a>)",
    "<interval> <factor>",
    "<interval> + <interval>",
    "ARRAY[<a>, <b>]",
)

FORMS = (
    "CASE WHEN <a> = <b> THEN <a> ELSE <c> END",
    "CASE <a> WHEN <b> THEN 'x' WHEN <c> THEN 'yy' END",
    "<a> IN (<b>, <c>)",
    "<a> BETWEEN <b> AND <c>",
    "<text> LIKE <like>",
    "ARRAY[<a>, <b>][<index>]",
    "MAP(ARRAY['a'], ARRAY[<a>])[<key>]",
    "ROW(<a>, <b>)[<field_number>]",
    "CAST(ROW(<a>, <text>) AS ROW(p <type>, q varchar))",
    "<text> || <other>",
    "ARRAY[<a>] || ARRAY[<b>]",
    "ARRAY[<a>] || <b>",
    "TRY(CAST(<text> AS <target>))",
    "nullif(<a>, <b>)",
    "coalesce(<a>, <b>)",
    "if(<a> < <b>, <a>, <c>)",
    "ARRAY[<a>, <b>]",
    "format(<format>, <a>)",
    "x AS v FROM UNNEST(ARRAY[<a>, <b>]) WITH ORDINALITY AS t(x, n) ORDER BY n",
    "x AS v FROM (VALUES <a>, <b>) AS t(x) ORDER BY x<order>",
    "x AS v FROM (SELECT <a> AS x UNION SELECT <b>) ORDER BY 1",
    "json_format(CAST(<a> AS json))",
    "json_format(CAST(ARRAY[<a>, <b>] AS json))",
    "json_format(CAST(ROW(<a>, <b>) AS json))",
    "CAST(json_parse(<json>) AS <json_target>)",
)
