"""Macros that the translation and the table of functions call; none is a function of Athena's."""

# A table: a line is a row.
# ruff: noqa: E501

from __future__ import annotations

from local_aws.athena.dialect.spellings import row

MACROS = [
    row("digits", "digits of a number's shortest text, without sign, point and padding", "(t) := rtrim(ltrim(replace(regexp_extract(t, '^[^e]+'), '.', ''), '0'), '0')"),
    row("exponent", "the power of ten of a number's shortest text", """(t) := CASE
        WHEN contains(t, 'e') THEN CAST(regexp_extract(t, 'e(.+)$', 1) AS INTEGER)
        WHEN starts_with(t, '0.') THEN -1 - length(regexp_extract(t, '^0\\.(0*)', 1))
        ELSE length(regexp_extract(t, '^[0-9]+')) - 1 END"""),
    row("scientific", "Java's scientific notation", """(t) := substr(trino_digits(t), 1, 1) || '.'
        || CASE WHEN length(trino_digits(t)) > 1 THEN substr(trino_digits(t), 2) ELSE '0' END
        || 'E' || trino_exponent(t)"""),
    row("double_text", "a double as Java writes it", """(x) := CASE
        WHEN x IS NULL THEN NULL WHEN isnan(x) THEN 'NaN'
        WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END
        WHEN x = 0 OR (abs(x) >= 0.001 AND abs(x) < 10000000) THEN CAST(x AS VARCHAR)
        ELSE CASE WHEN x < 0 THEN '-' ELSE '' END || trino_scientific(CAST(abs(x) AS VARCHAR)) END"""),
    row("timestamp_text", "with a number of digits of the second", """(x, digits) := CASE
        WHEN digits = 0 THEN strftime(x, '%Y-%m-%d %H:%M:%S') WHEN digits <= 3 THEN strftime(x, '%Y-%m-%d %H:%M:%S.%g')
        ELSE strftime(x, '%Y-%m-%d %H:%M:%S.%f') END"""),
    row("most_frequent", "the n entries of a map of counts that have the highest", """(m, n) := map_from_entries(
        list_transform(list_slice(list_reverse_sort(list_transform(map_entries(m), lambda e: {'c': e.value, 'k': e.key})),
        1, n), lambda e: {'key': e.k, 'value': CAST(e.c AS BIGINT)}))"""),
    row("interval_text", "year to month, or day to second", """(x) := CASE
        WHEN datepart('year', x) <> 0 OR datepart('month', x) <> 0
        THEN CAST(datepart('year', x) * 12 + datepart('month', x) AS BIGINT) // 12 || '-'
             || abs(CAST(datepart('year', x) * 12 + datepart('month', x) AS BIGINT) % 12)
        ELSE CASE WHEN epoch_ms(x) < 0 THEN '-' ELSE '' END || abs(epoch_ms(x)) // 86400000 || ' '
             || strftime(make_timestamp((abs(epoch_ms(x)) % 86400000) * 1000), '%H:%M:%S.%g') END"""),
    row("binary_text", "bytes in pairs", "(x) := rtrim(regexp_replace(lower(hex(x)), '(..)', '\\1 ', 'g'))"),
    row("varchar", "CAST AS VARCHAR", "(x, digits) := CAST(x AS VARCHAR)",
        "(x DOUBLE, digits) := trino_double_text(x)", "(x FLOAT, digits) := trino_double_text(x)",
        "(x BIGINT, digits) := CAST(x AS VARCHAR)", "(x HUGEINT, digits) := CAST(x AS VARCHAR)",
        "(x TIMESTAMP, digits) := trino_timestamp_text(x, digits)", "(x DATE, digits) := CAST(x AS VARCHAR)",
        "(x TIMESTAMPTZ, digits) := trino_timestamp_text(x, digits) || ' UTC'",
        "(x JSON, digits) := json_extract_string(x, '$')"),
    row("nonzero", "a divisor", "(x) := CASE WHEN x = 0 THEN CAST('DIVISION_BY_ZERO' AS BIGINT) ELSE x END"),
    row("divide", "whole numbers give whole numbers", "(a, b) := a / b",
        "(a INTEGER, b INTEGER) := a // trino_nonzero(b)", "(a BIGINT, b BIGINT) := a // trino_nonzero(b)",
        "(a HUGEINT, b HUGEINT) := a // trino_nonzero(b)", "(a DOUBLE, b DOUBLE) := a / b"),
    row("modulo", "the remainder, with the sign of the dividend", "(a, b) := a % trino_nonzero(b)",
        "(a DOUBLE, b DOUBLE) := a % b", "(a INTEGER, b INTEGER) := a % trino_nonzero(b)",
        "(a BIGINT, b BIGINT) := a % trino_nonzero(b)"),
    row("decimal_divide", "smallest units by smallest units, rounded half away from zero",
        "(n, d) := sign(n) * sign(d) * ((abs(n) * 2 + abs(d)) // (abs(trino_nonzero(d)) * 2))"),
    row("subscript", "an array's element; beyond it an error", """(x, i) := CASE
        WHEN x IS NULL OR i IS NULL THEN NULL
        WHEN i < 1 OR i > len(x) THEN x[CAST('SUBSCRIPT ' || i || ' > ' || len(x) AS BIGINT)] ELSE x[i] END"""),
    row("map_subscript", "a map's value; an absent key is an error", """(m, k) := CASE
        WHEN m IS NULL OR k IS NULL THEN NULL
        WHEN NOT map_contains(m, k) THEN m[CASE WHEN CAST('KEY_NOT_PRESENT ' || k || repeat('', len(map_keys(m))) AS BIGINT) = 0 THEN k END] ELSE m[k] END"""),
    row("map_of_pairs", "a map; the first of equal keys", """(pairs) := CASE
        WHEN len(list_distinct(list_transform(pairs, lambda p: p[1]))) = len(pairs) THEN map_from_entries(pairs)
        ELSE map_from_entries(list_filter(pairs, lambda p, i: list_position(list_transform(pairs, lambda q: q[1]), p[1]) = i)) END"""),
    row("multimap_of_pairs", "a map of arrays", """(pairs) := map_from_entries(list_transform(
        list_filter(list_transform(pairs, lambda p: p[1]), lambda k, i: list_position(list_transform(pairs, lambda p: p[1]), k) = i),
        lambda k: row(k, list_transform(list_filter(pairs, lambda p: p[1] = k), lambda p: p[2]))))"""),
    row("plus", "a date plus an interval is a date", "(a, b) := a + b",
        "(a DATE, b INTERVAL) := CAST(a + b AS DATE)", "(a INTERVAL, b DATE) := CAST(a + b AS DATE)"),
    row("minus", "a date minus an interval is a date, dates apart are days", "(a, b) := a - b",
        "(a DATE, b INTERVAL) := CAST(a - b AS DATE)", "(a DATE, b DATE) := to_days(CAST(a - b AS INTEGER))"),
    row("whole", "rounding half away from zero, as CAST to a whole number does; text must be digits", "(x, kind) := x",
        "(x DOUBLE, kind) := round(x)", "(x BIGINT, kind) := x", "(x HUGEINT, kind) := x",
        "(x VARCHAR, kind) := CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN x ELSE CAST(CAST('INVALID_CAST ' || x || ' TO ' || kind AS BIGINT) AS VARCHAR) END"),
]  # fmt: skip
