"""Literals at the edges of each type, and the words that some arguments want."""

from __future__ import annotations

WHOLE = ("tinyint", "smallint", "integer", "bigint")
NUMBERS = (*WHOLE, "decimal", "real", "double")
MOMENTS = ("date", "timestamp", "timestamp with time zone", "time")

VALUES: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "tinyint": ("TINYINT '7'", "TINYINT '0'", "TINYINT '-128'", "TINYINT '127'"),
    "smallint": ("SMALLINT '12'", "SMALLINT '-32768'", "SMALLINT '32767'"),
    "integer": ("3", "0", "-7", "10", "2147483647", "INTEGER '-2147483648'"),
    "bigint": (
        "BIGINT '5'",
        "BIGINT '0'",
        "BIGINT '-3'",
        "BIGINT '9223372036854775807'",
        "BIGINT '-9223372036854775808'",
    ),
    "real": ("REAL '1.5'", "REAL '-0.1'", "REAL '0'", "REAL '3.4028235E38'", "CAST(nan() AS real)"),
    "double": (
        "2.5e0",
        "-1.5e0",
        "0e0",
        "1e-10",
        "0.1e0",
        "1e17",
        "-0e0",
        "nan()",
        "infinity()",
        "1.7976931348623157e308",
    ),
    "decimal": (
        "1.5",
        "-2.345",
        "0.00",
        "7.",
        "DECIMAL '12345678901234567.89'",
        "DECIMAL '99999999999999999999999999999999999999'",
        "DECIMAL '0.0000000000000000000000000000000000001'",
        "DECIMAL '-999999999999999999.5'",
    ),
    "varchar": (
        "'abc'",
        "''",
        "' Ab c '",
        "'äÖü€'",
        "'😀x'",
        "'12'",
        "'-1.50'",
        "'a,b,,c'",
        "'it''s'",
        "'2024-02-29'",
        "'2024-02-29 12:34:56.789'",
        "'true'",
        "'1e3'",
        "CAST('abcabc' AS varchar)",
    ),
    "char": ("CAST('ab' AS char(4))", "CAST('abcd' AS char(3))", "CAST('' AS char(2))"),
    "varbinary": ("X'00FF10'", "X''", "to_utf8('abc')", "X'C3'"),
    "date": (
        "DATE '2024-02-29'",
        "DATE '1969-12-31'",
        "DATE '2021-01-03'",
        "DATE '0001-01-01'",
        "DATE '9999-12-31'",
    ),
    "time": ("TIME '12:34:56.789'", "TIME '00:00:00'", "TIME '23:59:59.999999'"),
    "timestamp": (
        "TIMESTAMP '2024-02-29 12:34:56.789'",
        "TIMESTAMP '2021-01-01 00:00:00'",
        "TIMESTAMP '1969-12-31 23:59:59.999999'",
        "TIMESTAMP '2026-03-29 02:30:00.5'",
        "TIMESTAMP '9999-12-31 23:59:59.123456'",
    ),
    "timestamp with time zone": (
        "TIMESTAMP '2024-02-29 12:34:56.789 UTC'",
        "TIMESTAMP '2024-10-27 02:30:00 Europe/Berlin'",
        "TIMESTAMP '2021-01-01 00:00:00.123456 +05:30'",
        "TIMESTAMP '1969-12-31 23:59:59 America/New_York'",
        "TIMESTAMP '2024-03-31 02:30:00 Europe/Berlin'",
    ),
    "interval day to second": (
        "INTERVAL '2' DAY",
        "INTERVAL '-90' MINUTE",
        "INTERVAL '1 02:03:04.567' DAY TO SECOND",
    ),
    "interval year to month": ("INTERVAL '1' MONTH", "INTERVAL '-2' YEAR", "INTERVAL '1-3' YEAR TO MONTH"),
    "json": (
        """JSON '{"b":{"c":true,"d":"x"},"a":[1,2.50,null,"x"]}'""",
        "JSON 'null'",
        "JSON '[3, 1e2, \"t\"]'",
        "JSON '\"text\"'",
        "JSON '12'",
        "JSON '1.10'",
        "JSON 'true'",
    ),
    "array(integer)": (
        "ARRAY[3, 1, NULL, 2, 3]",
        "ARRAY[1]",
        "CAST(ARRAY[] AS array(integer))",
        "ARRAY[2, 3]",
    ),
    "array(varchar)": ("ARRAY['b', 'a', NULL, '']", "ARRAY['a']", "ARRAY['x y', 'ä, b', 'null']"),
    "map(varchar,integer)": ("MAP(ARRAY['a', 'b'], ARRAY[1, NULL])", "MAP(ARRAY['b'], ARRAY[7])"),
    "map(integer,varchar)": ("MAP(ARRAY[2, 1], ARRAY['x', ''])",),
    "row(x integer, y varchar)": (
        "CAST(ROW(1, 'a') AS ROW(x integer, y varchar))",
        "CAST(ROW(NULL, 'b, c=d') AS ROW(x integer, y varchar))",
    ),
}

TYPE_NAMES = {"decimal": "decimal(12,3)", "char": "char(4)", "timestamp": "timestamp(6)"}
"""How a type is written in a cast, where its name alone is not enough."""

CAST_TARGETS = [
    "boolean",
    "tinyint",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double",
    "decimal(5,2)",
    "decimal(38,0)",
    "decimal(18,9)",
    "varchar",
    "varchar(3)",
    "char(5)",
    "varbinary",
    "date",
    "time",
    "timestamp",
    "timestamp(0)",
    "timestamp(6)",
    "json",
    "array(varchar)",
    "array(bigint)",
    "map(varchar,varchar)",
    "timestamp(3) with time zone",
    "timestamp(6) with time zone",
]

UNITS = ("day", "month", "hour", "year", "week", "quarter", "second", "millisecond", "minute", "decade")
ZONES = ("'UTC'", "'Europe/Berlin'", "'America/New_York'", "'+05:30'", "'Asia/Kolkata'", "'Nowhere/City'")
MYSQL = ("%Y-%m-%d %H:%i:%s", "%a %b %c %d %e %f", "%H %h %I %i %j %k %l %M", "%p %r %S %s %T %v %W %x %y %%")
MYSQL_TEXTS = (
    ("2024-02-29 12:34:56", "%Y-%m-%d %H:%i:%s"),
    ("29/02/24", "%d/%m/%y"),
    ("Feb 9 2024 1PM", "%b %e %Y %l%p"),
)
JODA = (
    "yyyy-MM-dd HH:mm:ss.SSS",
    "EEE, dd MMM yyyy",
    "YYYY/D e h:mm a",
    "y-M-d H:m:s",
    "xxxx-'W'ww-e",
    "EEEE MMMM yy ZZ",
)
JODA_TEXTS = (
    ("2024-02-29 12:34:56", "yyyy-MM-dd HH:mm:ss"),
    ("2024-02-29 12:34:56 +0200", "yyyy-MM-dd HH:mm:ss Z"),
    ("29.2.24", "d.M.yy"),
)
PATTERNS = ("b", "[a-c]+", "(a)(b)?", "^a", "\\d+", "x*", "(?i)A", ",", "(?<n>b)", "a|", "[[:alpha:]]+", "(")
PATHS = ("$", "$.a", "$.a[1]", "$.b.c", '$["b"]["d"]', "$.a[3]", "$.none", "$[0]", "$.a[*]", "$..c", "a")
JSON_TEXTS = (
    '\'{"a":[1,2.50,null,"x"],"b":{"c":true,"d":"y"}}\'',
    "'[1,\"1\",true,1.0]'",
    "'no json'",
    "'{\"a\":1'",
    "'null'",
    "'\"t\"'",
    "''",
)
URLS = (
    "'https://user@example.com:8080/p/a%20th?k=v&k2=a+b&e#frag'",
    "'http://h'",
    "'mailto:a@b.c'",
    "'not a url'",
    "'/p?x=1'",
)
