"""Macros that the translation and the table of functions call; none is a function of Athena's."""

# A table: a line is a row.
# ruff: noqa: E501

from __future__ import annotations

from local_aws.athena.dialect.spellings import row

BUCKETS = 2**21
"""Of `approx_distinct`: enough for 20 million different values."""

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
    row("timestamp_text", "with a number of digits of the second", "(x, digits) := rtrim(left(strftime(x, '%Y-%m-%d %H:%M:%S.%f'), 20 + digits), '.')"),
    row("moment", "the first at which clocks of a zone show a time", """(x, z) := CASE
        WHEN (x AT TIME ZONE z - INTERVAL 1 HOUR) AT TIME ZONE z = x THEN x AT TIME ZONE z - INTERVAL 1 HOUR
        WHEN (x AT TIME ZONE z - INTERVAL 30 MINUTE) AT TIME ZONE z = x THEN x AT TIME ZONE z - INTERVAL 30 MINUTE
        ELSE x AT TIME ZONE z END"""),
    row("difference", "of a zone's clocks from UTC at a moment", "(m, z) := (m AT TIME ZONE z) - (m AT TIME ZONE 'UTC')"),
    row("moved", "the moment of a wall clock that was worked out of a moment: with the same offset where it holds", """(x, z, m) := CASE
        WHEN ((x - trino_difference(CAST(m AS TIMESTAMPTZ), z)) AT TIME ZONE 'UTC') AT TIME ZONE z = x
        THEN (x - trino_difference(CAST(m AS TIMESTAMPTZ), z)) AT TIME ZONE 'UTC' ELSE trino_moment(x, z) END"""),
    row("offset", "`+02:00`", """(m, z) := CASE WHEN trino_difference(m, z) < INTERVAL 0 HOUR THEN '-' ELSE '+' END
        || strftime(make_timestamp(CAST(abs(epoch(trino_difference(m, z))) AS BIGINT) * 1000000), '%H:%M')"""),
    row("most_frequent", "the n entries of a map of counts that have the highest", """(m, n) := map_from_entries(
        list_transform(list_slice(list_reverse_sort(list_transform(map_entries(m), lambda e: {'c': e.value, 'k': e.key})),
        1, n), lambda e: {'key': e.k, 'value': CAST(e.c AS BIGINT)}))"""),
    row("bucket", "of a value, by its hash", f"(x) := CASE WHEN x IS NOT NULL THEN CAST(hash(x) & {BUCKETS - 1} AS UINTEGER) END"),
    row("distinct", "how many values there are, by how many buckets have one", f"(n) := CAST(round(-{BUCKETS} * ln(1 - least(coalesce(n, 0), {BUCKETS - 1}) / {BUCKETS})) AS BIGINT)"),
    row("interval_text", "year to month, or day to second", """(x) := CASE
        WHEN datepart('year', x) <> 0 OR datepart('month', x) <> 0
        THEN CAST(datepart('year', x) * 12 + datepart('month', x) AS BIGINT) // 12 || '-'
             || abs(CAST(datepart('year', x) * 12 + datepart('month', x) AS BIGINT) % 12)
        ELSE CASE WHEN epoch_ms(x) < 0 THEN '-' ELSE '' END || abs(epoch_ms(x)) // 86400000 || ' '
             || strftime(make_timestamp((abs(epoch_ms(x)) % 86400000) * 1000), '%H:%M:%S.%g') END"""),
    row("binary_text", "bytes in pairs", "(x) := rtrim(regexp_replace(lower(hex(x)), '(..)', '\\1 ', 'g'))"),
    row("nonzero", "a divisor", "(x) := CASE WHEN x = 0 THEN CAST('DIVISION_BY_ZERO' AS BIGINT) ELSE x END"),
    row("nonzero_decimal", "a divisor in its own type", "(x) := [x][CASE WHEN x = 0 THEN CAST('DIVISION_BY_ZERO' AS BIGINT) ELSE 1 END]"),
    row("half_up", "a quotient from its whole part and the remainder", "(q, r, d) := q + CAST(r >= d - r AS UTINYINT)"),
    row("decimal_divide", "smallest units by smallest units, rounded half away from zero", """(n, d) := sign(n) * sign(d)
        * trino_half_up(abs(n) // abs(trino_nonzero(d)), abs(n) % abs(trino_nonzero(d)), abs(d))"""),
    row("times_ten", "modulo d, both of at most 127 bits", "(r, d) := (((r * 2 % d) * 2 % d + r) % d) * 2 % d"),
    row("digit", "r * 10 by d, where r is less than d", """(r, d) := (r * 2 // d) * 4 + ((r * 2 % d) * 2 // d) * 2
        + (((r * 2 % d) * 2 % d + r) // d) * 2 + (((r * 2 % d) * 2 % d + r) % d) * 2 // d"""),
    row("long_division", "quotient and remainder of n * 10 ** k, which may be wider than 128 bits, by d", """(n, d, k) := list_reduce(
        list_prepend([n // d, n % d], list_transform(range(k), lambda i: [n, d])),
        lambda s, i: [s[1] * 10 + trino_digit(s[2], d), trino_times_ten(s[2], d)])"""),
    row("unsigned", "", "(x) := CAST(abs(x) AS UHUGEINT)"),
    row("ten_to", "a power of ten", "(k) := CAST(rpad('1', CAST(k + 1 AS INTEGER), '0') AS HUGEINT)"),
    row("long_divide", "n * 10 ** k by d, rounded half away from zero", """(n, d, k) := CASE
        WHEN length(CAST(abs(n) AS VARCHAR)) + k <= 38 THEN trino_decimal_divide(n * trino_ten_to(k), d)
        ELSE sign(n) * sign(d) * list_transform([trino_long_division(trino_unsigned(n), trino_unsigned(trino_nonzero(d)), k)],
            lambda t: CAST(trino_half_up(t[1], t[2], trino_unsigned(d)) AS HUGEINT))[1] END"""),
    row("long_modulo", "n * 10 ** j modulo d * 10 ** k, one of which is 0", """(n, d, j, k) := CASE
        WHEN length(CAST(abs(trino_nonzero(d)) AS VARCHAR)) + k > 38 THEN n
        ELSE list_transform([trino_unsigned(d * trino_ten_to(k))], lambda u: sign(n) * CAST(list_reduce(
            list_prepend(trino_unsigned(n) % u, list_transform(range(j), lambda i: u)), lambda r, i: trino_times_ten(r, u)) AS HUGEINT))[1] END"""),
    row("average", "of a sum in two parts, the first of which counts 10 ** 19 times", """(front, back, n) := list_transform(
        [[front // n * CAST('10000000000000000000' AS HUGEINT), front % n * CAST('10000000000000000000' AS HUGEINT) + back]],
        lambda t: list_transform([[t[1] + t[2] // n, t[2] % n]], lambda q: q[1]
            + CASE WHEN 2 * abs(q[2]) > n OR (2 * abs(q[2]) = n AND sign(q[2]) * sign(q[1]) >= 0) THEN sign(q[2]) ELSE 0 END)[1])[1]"""),
    row("decimal_text", "smallest units as a decimal's text", """(x, scale) := CASE WHEN x < 0 THEN '-' ELSE '' END
        || regexp_replace(lpad(CAST(abs(x) AS VARCHAR), CAST(greatest(scale + 1, length(CAST(abs(x) AS VARCHAR))) AS INTEGER), '0'), '(.{' || scale || '})$', '.\\1')"""),
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
    row("quoted_numbers", "JSON with its numbers as text, for DuckDB reads them as doubles", """(j) := replace(replace(replace(
        regexp_replace(CAST(j AS VARCHAR), '("(?:[^"\\\\]|\\\\.)*")|(-?[0-9][-+.0-9eE]*)', '\\1' || chr(1) || '\\2' || chr(2), 'g'),
        chr(1) || chr(2), ''), chr(1), '"'), chr(2), '"')"""),
    row("plus", "a date plus an interval is a date", "(a, b) := a + b",
        "(a DATE, b INTERVAL) := CAST(a + b AS DATE)", "(a INTERVAL, b DATE) := CAST(a + b AS DATE)"),
    row("minus", "a date minus an interval is a date, dates apart are days", "(a, b) := a - b",
        "(a DATE, b INTERVAL) := CAST(a - b AS DATE)", "(a DATE, b DATE) := to_days(CAST(a - b AS INTEGER))"),
    row("whole", "rounding half away from zero, as CAST to a whole number does; text must be digits", "(x, kind) := x",
        "(x DOUBLE, kind) := round(x)", "(x BIGINT, kind) := x", "(x HUGEINT, kind) := x",
        "(x VARCHAR, kind) := CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN x ELSE CAST(CAST('INVALID_CAST ' || x || ' TO ' || kind AS BIGINT) AS VARCHAR) END"),
]  # fmt: skip
