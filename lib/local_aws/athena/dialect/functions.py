"""Athena's functions in DuckDB: one row for each, with Athena's meaning and DuckDB's spelling (see `spellings`).

Athena's meaning is that of Trino's documentation, "Functions and operators". A function without a row does not
run: nothing reaches DuckDB under the same name by accident. Each row is tested in `tests/athena_corpus/`.
"""

# A table: a line is a row.
# ruff: noqa: E501

from __future__ import annotations

from local_aws.athena.dialect.macros import MACROS
from local_aws.athena.dialect.spellings import row, same

MATH = [
    *same("abs", "acos", "asin", "atan", "atan2", "ceil", "ceiling", "cos", "degrees",
          "exp", "floor", "log10", "log2", "pi", "power", "radians", "sin", "tan", "sinh", "cosh", "tanh"),
    row("cbrt", "", "(x) := CASE WHEN round(cbrt(x)) ** 3 = x THEN round(cbrt(x)) ELSE cbrt(x) END"),
    row("pow", "", "power"),
    row("random", "below 1, below n, or from m to below n", "() := random()", "(n) := CAST(floor(random() * n) AS BIGINT)", "(m, n) := m + CAST(floor(random() * (n - m)) AS BIGINT)"),
    row("rand", "", "random"),
    row("round", "half away from zero", "round"),
    row("sign", "in the argument's own type", "(x) := CAST(sign(x) AS DECIMAL(1, 0))", "(x DOUBLE) := CAST(sign(x) AS DOUBLE)", "(x INTEGER) := CAST(sign(x) AS INTEGER)", "(x BIGINT) := CAST(sign(x) AS BIGINT)"),
    row("sqrt", "NaN for a negative number", "(x) := CASE WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE sqrt(greatest(x, 0)) END"),
    row("ln", "-Infinity for 0, NaN below", "(x) := CASE WHEN x > 0 THEN ln(x) WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) END"),
    row("log", "log(base, x)", "(b, x) := ln(x) / ln(b)"),
    row("e", "", "exp(1e0{none})"),
    row("nan", "", "CAST('nan' AS DOUBLE{none})"),
    row("infinity", "", "CAST('inf' AS DOUBLE{none})"),
    row("is_nan", "", "isnan"), row("is_infinite", "", "isinf"), row("is_finite", "", "isfinite"),
    row("truncate", "towards zero", "trunc"),
    row("width_bucket", "", "(x, low, high, n) := CASE WHEN x < low THEN 0 WHEN x >= high THEN n + 1 ELSE CAST(floor((x - low) * n / CAST(high - low AS DOUBLE)) AS BIGINT) + 1 END"),
    row("to_base", "", "(x, r) := lower(to_base(x, r))"),
    row("from_base", "", "(t, r) := list_reduce(list_prepend(0::BIGINT, list_transform(string_split(lower(t), ''), lambda c: CAST(instr('0123456789abcdefghijklmnopqrstuvwxyz', c) - 1 AS BIGINT))), lambda s, d: s * r + d)"),
    row("greatest", "NULL where any is", "greatest"), row("least", "NULL where any is", "least"),
    row("bitwise_and", "", "(a, b) := a & b"), row("bitwise_or", "", "(a, b) := a | b"),
    row("bitwise_xor", "", "xor"), row("bitwise_not", "", "(a) := ~a"),
    row("bitwise_left_shift", "", "(a, n) := a << n"), row("bitwise_right_shift", "", "(a, n) := a >> n"),
]  # fmt: skip

TEXT = [
    *same("lower", "upper", "concat_ws", "translate", "starts_with", "chr"),
    row("length", "characters, or bytes", "(x) := length(x)", "(x BLOB) := octet_length(x)"),
    row("concat", "NULL where any is", "concat"),
    row("reverse", "text", "reverse"),
    row("replace", "without a third: removes", "(t, a) := replace(t, a, '')", "(t, a, b) := replace(t, a, b)"),
    row("trim", "", "trim"), row("ltrim", "", "ltrim"), row("rtrim", "", "rtrim"),
    row("lpad", "", "(t, n, p) := lpad(t, CAST(n AS INTEGER), p)"), row("rpad", "", "(t, n, p) := rpad(t, CAST(n AS INTEGER), p)"),
    row("strpos", "position from 1, or 0", "(t, s) := instr(t, s)", "(t, s, n) := CASE WHEN n = 1 THEN instr(t, s) WHEN len(string_split(t, s)) > n THEN length(array_to_string(string_split(t, s)[:n], s)) + 1 ELSE 0 END"),
    row("substr", "from 1; 0 gives nothing", "(t, i) := CASE WHEN i = 0 OR -i > length(t) THEN substr(t, 1, 0) ELSE substr(t, i) END", "(t, i, n) := CASE WHEN i = 0 OR n <= 0 OR -i > length(t) THEN substr(t, 1, 0 * i * n) ELSE substr(t, i, n) END"),
    row("split", "", "(t, d) := string_split(t, d)", "(t, d, n) := CASE WHEN len(string_split(t, d)) <= n THEN string_split(t, d) ELSE string_split(t, d)[:n - 1] || [array_to_string(string_split(t, d)[n:], d)] END"),
    row("split_part", "NULL beyond the last", "(t, d, i) := string_split(t, d)[i]"),
    row("split_to_multimap", "", "(t, d, kv) := trino_multimap_of_pairs(list_transform(string_split(t, d), lambda e: row(string_split(e, kv)[1], string_split(e, kv)[2])))"),
    row("split_to_map", "", "(t, d, kv) := map_from_entries(list_transform(string_split(t, d), lambda e: row(string_split(e, kv)[1], string_split(e, kv)[2])))"),
    row("codepoint", "", "unicode"),
    row("levenshtein_distance", "", "levenshtein"), row("hamming_distance", "", "hamming"),
    row("normalize", "NFC", "nfc_normalize"),
    row("regexp_like", "found anywhere", "(t, p) := regexp_matches(t, p)"),
    row("regexp_extract", "NULL where not found", "(t, p) := CASE WHEN regexp_matches(t, p) THEN regexp_extract(t, p) END", "(t, p, g) := CASE WHEN regexp_matches(t, p) THEN regexp_extract(t, p, g) END"),
    row("regexp_extract_all", "", "regexp_extract_all"),
    row("regexp_replace", "every match; $1 is a group", "(t, p) := regexp_replace(t, p, '', 'g')", "(t, p, r) := regexp_replace(t, p, regexp_replace(replace(r, '\\', '\\\\'), '\\$(\\d)', '\\\\\\1', 'g'), 'g')"),
    row("regexp_split", "", "string_split_regex"),
    row("regexp_count", "", "(t, p) := len(regexp_extract_all(t, p))"),
    row("regexp_position", "from 1, or -1", "(t, p) := CASE WHEN regexp_matches(t, p) THEN length(string_split_regex(t, p)[1]) + 1 ELSE -1 END"),
    row("url_encode", "a space is a plus", "(t) := replace(url_encode(t), '%20', '+')"), row("url_decode", "", "(t) := url_decode(replace(t, '+', ' '))"),
    row("url_extract_protocol", "", "(u) := nullif(regexp_extract(u, '^([^:/?#]+):', 1), '')"),
    row("url_extract_host", "", "(u) := regexp_extract(u, '^(?:[^:/?#]+:)?//(?:[^/?#@]*@)?([^/?#:]*)', 1)"),
    row("url_extract_port", "", "(u) := TRY_CAST(nullif(regexp_extract(u, '^(?:[^:/?#]+:)?//[^/?#:]*:(\\d+)', 1), '') AS BIGINT)"),
    row("url_extract_path", "", "(u) := regexp_extract(u, '^(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)', 1)"),
    row("url_extract_query", "", "(u) := regexp_extract(u, '\\?([^#]*)', 1)"),
    row("url_extract_fragment", "", "(u) := regexp_extract(u, '#(.*)$', 1)"),
    row("url_extract_parameter", "NULL where absent", "(u, p) := CASE WHEN regexp_matches(u, '[?&]' || p || '(=|&|#|$)') THEN url_decode(regexp_extract(u, '[?&]' || p || '=?([^&#]*)', 1)) END"),
    row("to_utf8", "", "encode"), row("from_utf8", "", "decode"),
    row("to_hex", "", "hex"), row("from_hex", "", "unhex"),
    row("to_base64", "", "to_base64"), row("from_base64", "", "from_base64"),
    row("md5", "of bytes, to bytes", "(x BLOB) := unhex(md5(x))"),
    row("sha1", "of bytes, to bytes", "(x BLOB) := unhex(sha1(x))"),
    row("sha256", "of bytes, to bytes", "(x BLOB) := unhex(sha256(x))"),
    row("uuid", "", "uuid"),
]  # fmt: skip

TIME = [
    row("date", "", "(x) := CAST(x AS DATE)"),
    row("now", "with time zone, milliseconds", "date_trunc('millisecond', current_timestamp{none})"),
    row("current_timezone", "", "CAST('UTC' AS VARCHAR{none})"),
    row("date_trunc", "a date stays a date", "(u, x) := date_trunc(u, x)", "(u, x DATE) := CAST(date_trunc(u, x) AS DATE)"),
    row("date_add", "a date stays a date", "(u, n, x) := x + CAST(n AS BIGINT) * CAST('1 ' || u AS INTERVAL)", "(u, n, x DATE) := CAST(x + CAST(n AS BIGINT) * CAST('1 ' || u AS INTERVAL) AS DATE)"),
    row("date_diff", "whole units elapsed", "date_sub"),
    row("year", "", "year"), row("month", "", "month"), row("day", "", "day"), row("hour", "", "hour"), row("minute", "", "minute"), row("second", "", "second"), row("quarter", "", "quarter"),
    row("millisecond", "of the second", "(x) := millisecond(x) % 1000"),
    row("day_of_month", "", "day"),
    row("week", "ISO", "week"), row("week_of_year", "ISO", "week"),
    row("day_of_week", "1 is Monday", "isodow"), row("dow", "1 is Monday", "isodow"),
    row("day_of_year", "", "dayofyear"), row("doy", "", "dayofyear"),
    row("year_of_week", "ISO", "isoyear"), row("yow", "ISO", "isoyear"),
    row("last_day_of_month", "", "last_day"),
    row("date_format", "MySQL's pattern", "strftime"), row("date_parse", "MySQL's pattern", "strptime"),
    row("format_datetime", "Joda's pattern", "strftime"), row("parse_datetime", "Joda's pattern, with time zone", "CAST(strptime({0}, {1}) AS TIMESTAMPTZ)"),
    row("from_unixtime", "with time zone, milliseconds", "(x) := date_trunc('millisecond', to_timestamp(CAST(x AS DOUBLE)))"),
    row("from_unixtime_nanos", "with time zone", "(x) := CAST(make_timestamp(CAST(x AS BIGINT) // 1000) AS TIMESTAMPTZ)"),
    row("to_unixtime", "seconds", "(x) := epoch(x)"),
    row("to_milliseconds", "of an interval", "epoch_ms"),
    row("from_iso8601_timestamp", "with time zone", "(t) := CAST(t AS TIMESTAMPTZ)"),
    row("from_iso8601_timestamp_nanos", "with time zone", "(t) := CAST(t AS TIMESTAMPTZ)"),
    row("from_iso8601_date", "", "(t) := CAST(t AS DATE)"),
    row("to_iso8601", "", "(x, digits) := CAST(x AS VARCHAR)", "(x DATE, digits) := CAST(x AS VARCHAR)", "(x TIMESTAMP, digits) := replace(trino_timestamp_text(x, digits), ' ', 'T')", "(x TIMESTAMPTZ, digits) := replace(trino_timestamp_text(x, digits), ' ', 'T') || 'Z'"),
    row("at_timezone", "a moment, shown in the zone", "(x, z) := CAST(x AS TIMESTAMPTZ)"),
    row("with_timezone", "the first moment of a wall clock", "(x, z) := trino_moment(CAST(x AS TIMESTAMP), z)"),
]  # fmt: skip

JSON = [
    row("json_parse", "an error where it is not JSON", "(t) := json(t)"),
    row("json_format", "", "(j) := CAST(j AS VARCHAR)"),
    row("json_extract", "NULL where the text is not JSON", "(j, p) := CASE WHEN json_valid(j) THEN json_extract(j, p) END"),
    row("json_extract_scalar", "NULL for objects and arrays; a number as it is written", "(j, p) := CASE WHEN json_valid(j) THEN CASE WHEN json_type(j, p) = 'DOUBLE' THEN json_extract_string(trino_quoted_numbers(j), p) WHEN json_type(j, p) NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN json_extract_string(j, p) END END"),
    row("json_array_length", "NULL for others", "(j) := CASE WHEN json_type(j) = 'ARRAY' THEN CAST(json_array_length(j) AS BIGINT) END"),
    row("json_array_get", "from 0", "(j, i) := json_extract(j, CAST(i AS BIGINT))"),
    row("json_array_contains", "", "(j, x) := list_contains(json_extract(j, '$[*]'), to_json(x))"),
    row("json_size", "members of an object or array", "(j, p) := CASE json_type(j, p) WHEN 'OBJECT' THEN CAST(len(json_keys(j, p)) AS BIGINT) WHEN 'ARRAY' THEN CAST(json_array_length(j, p) AS BIGINT) ELSE 0 END"),
    row("is_json_scalar", "", "(j) := json_type(j) NOT IN ('OBJECT', 'ARRAY')"),
]  # fmt: skip

ARRAYS = [
    row("cardinality", "of an array or a map", "(x) := CAST(len(x) AS BIGINT)"),
    row("contains", "", "list_contains"),
    row("element_at", "NULL where absent; -1 is the last", "(x, k) := x[k]"),
    row("array_position", "from 1, or 0", "(x, e) := CAST(coalesce(list_position(x, e), 0) AS BIGINT)"),
    row("array_distinct", "in order of first appearance", "(x) := list_filter(x, lambda e, i: list_position(x, e) = i)"),
    row("array_sort", "NULLs last", "(x) := list_sort(x, 'ASC', 'NULLS LAST')"),
    row("array_max", "NULL where any is", "(x) := CASE WHEN len(list_filter(x, lambda e: e IS NULL)) = 0 THEN list_max(x) END"),
    row("array_min", "NULL where any is", "(x) := CASE WHEN len(list_filter(x, lambda e: e IS NULL)) = 0 THEN list_min(x) END"),
    row("array_join", "leaves NULLs out, or replaces them", "(x, d) := coalesce(array_to_string(list_filter(x, lambda e: e IS NOT NULL), d), '')", "(x, d, n) := array_to_string(list_transform(x, lambda e: coalesce(e, n)), d)"),
    row("array_intersect", "without repeats", "(x, y) := trino_array_distinct(list_filter(x, lambda e: list_contains(y, e)))"),
    row("array_union", "without repeats", "(x, y) := trino_array_distinct(list_concat(x, y))"),
    row("array_except", "without repeats", "(x, y) := trino_array_distinct(list_filter(x, lambda e: NOT list_contains(y, e)))"),
    row("arrays_overlap", "", "list_has_any"),
    row("array_remove", "", "(x, v) := list_filter(x, lambda e: e IS DISTINCT FROM v)"),
    row("array_first", "", "(x) := x[1]"), row("array_last", "", "(x) := x[-1]"),
    row("contains_sequence", "", "(x, s) := len(list_filter(range(1, len(x) - len(s) + 2), lambda i: list_slice(x, i, i + len(s) - 1) = s)) > 0"),
    row("ngrams", "", "(x, n) := CASE WHEN n >= len(x) THEN [x] ELSE list_transform(range(1, len(x) - n + 2), lambda i: list_slice(x, i, i + n - 1)) END"),
    row("multimap_from_entries", "", "(pairs) := trino_multimap_of_pairs(pairs)"),
    row("flatten", "", "flatten"), row("zip", "", "list_zip"), row("shuffle", "", "(x) := list_sort(x)"),
    row("trim_array", "without the last n", "(x, n) := x[:len(x) - n]"),
    row("slice", "n from a start, which may count from the end", "(x, i, n) := CASE WHEN i > 0 THEN list_slice(x, i, i + n - 1) ELSE list_slice(x, len(x) + i + 1, len(x) + i + n) END"),
    row("repeat", "", "(x, n) := list_transform(range(n), lambda i: x)"),
    row("sequence", "both ends", "(a, b) := generate_series(a, b, CASE WHEN a <= b THEN 1 ELSE -1 END)", "(a, b, s) := generate_series(a, b, s)", "(a DATE, b DATE) := list_transform(generate_series(a, b, INTERVAL 1 DAY), lambda d: CAST(d AS DATE))", "(a DATE, b DATE, s) := list_transform(generate_series(a, b, s), lambda d: CAST(d AS DATE))"),
    row("transform", "", "list_transform"), row("filter", "", "list_filter"),
    row("any_match", "", "coalesce(list_bool_or(list_transform({0}, {1})), false)"),
    row("all_match", "", "coalesce(list_bool_and(list_transform({0}, {1})), true)"),
    row("none_match", "", "NOT coalesce(list_bool_or(list_transform({0}, {1})), false)"),
    row("map_keys", "", "map_keys"), row("map_values", "", "map_values"), row("map_entries", "", "(m) := list_zip(map_keys(m), map_values(m))"),
    row("map_from_entries", "", "map_from_entries"), row("map_concat", "the last one wins", "map_concat"),
    row("map", "of two arrays", "map"),
]  # fmt: skip

AGGREGATES = [
    *same("count", "min", "max", "bool_and", "bool_or", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop",
          "var_samp", "corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "skewness", "grouping",
          "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "first_value", "last_value",
          "nth_value", "lag", "lead"),
    row("avg", "", "avg"), row("sum", "", "sum"),
    row("kurtosis", "of the sample, excess", "kurtosis"),
    row("every", "", "bool_and"), row("count_if", "of no rows 0", "CAST(coalesce(AGG(count_if({0})), 0) AS BIGINT)"),
    row("arbitrary", "any that is not NULL", "any_value"), row("any_value", "any that is not NULL", "any_value"),
    row("max_by", "x of the greatest y", "arg_max_null"), row("min_by", "x of the least y", "arg_min_null"),
    row("array_agg", "NULLs too", "list"),
    row("approx_distinct", "exact here in groups, else within 2 % up to 20 million", "AGG(count(DISTINCT {0}))"),
    row("approx_percentile", "", "approx_quantile"),
    row("geometric_mean", "", "geomean"),
    row("histogram", "how often each value comes", "histogram"),
    row("approx_most_frequent", "exact here", "trino_most_frequent(AGG(histogram({1})), {0})"),
    row("map_agg", "the first of equal keys", "trino_map_of_pairs(AGG(list(row({0}, {1}))))"),
    row("bitwise_and_agg", "", "bit_and"), row("bitwise_or_agg", "", "bit_or"), row("bitwise_xor_agg", "", "bit_xor"),
    row("map_union", "the first of equal keys", "trino_map_of_pairs(flatten(AGG(list(list_zip(map_keys({0}), map_values({0}))))))"),
    row("listagg", "", "string_agg"),
    row("multimap_agg", "", "trino_multimap_of_pairs(AGG(list(row({0}, {1}))))"),
]  # fmt: skip

CONDITIONS = [
    *same("coalesce", "nullif"),
    row("try", "NULL on an error", "TRY({0})"),
    row("typeof", "Trino's type name; the translation writes it", "typeof"),
]  # fmt: skip

FUNCTIONS = {f.name: f for f in (*MATH, *TEXT, *TIME, *JSON, *ARRAYS, *AGGREGATES, *CONDITIONS)}


def definitions() -> list[str]:
    """The statements that create every macro, each after those it calls."""
    return [line for f in (*MACROS, *FUNCTIONS.values()) if f.is_macro for line in f.definitions()]
