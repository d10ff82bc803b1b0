"""Functions whose call takes another shape in DuckDB, each by its name in `SHAPES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import exp

from local_aws.athena.dialect.dialect import call
from local_aws.athena.dialect.errors import QueryError
from local_aws.athena.dialect.formats import format_call, offset_minutes
from local_aws.athena.dialect.macros import BUCKETS

Node = exp.Expr


def null_if_any_is(node: exp.Anonymous) -> Node:
    """`greatest` and `least` are NULL where any argument is; DuckDB leaves NULLs out."""
    tests = [exp.Is(this=argument.copy(), expression=exp.Null()) for argument in node.expressions]
    return exp.Case(ifs=[exp.If(this=exp.or_(*tests), true=exp.Null())], default=node.copy())


def reduce_shape(node: exp.Anonymous) -> Node:
    """`reduce(array, start, (s, x) -> …, s -> …)`: the last step applies the output lambda to the state."""
    array, start, step, output = node.expressions
    folded = call("list_reduce", array, step, start)
    if not isinstance(output, exp.Lambda):
        raise QueryError("NOT_SUPPORTED", "reduce: the output must be a lambda", node)
    wrapped = call("list_transform", exp.Array(expressions=[folded]), output)
    return exp.Bracket(this=wrapped, expressions=[exp.Literal.number(1)])


def concat_shape(node: exp.Anonymous) -> Node:
    """`concat` is NULL where any argument is, as `||` is."""
    first, *others = node.expressions
    for other in others:
        first = exp.DPipe(this=first, expression=other)
    return exp.Paren(this=first)


def approx_distinct_shape(node: exp.Anonymous) -> Node:
    """Exact in groups; over all rows from a bitmap of hashes, since an exact count keeps every value.

    DuckDB's own estimate is off by a fifth for five values.
    """
    value, select = node.expressions[0], node.find_ancestor(exp.Select)
    value = value.expressions[0] if isinstance(value, exp.Distinct) else value
    grouped = select is not None and select.args.get("group")
    if grouped or isinstance(node.parent, (exp.Filter, exp.Window)):
        return call("count", exp.Distinct(expressions=[value]))
    ends = exp.Literal.number(0), exp.Literal.number(BUCKETS - 1)
    bits = call("bitstring_agg", call("trino_bucket", value), *ends)
    return call("trino_distinct", call("bit_count", bits))


def approx_percentile_shape(node: exp.Anonymous) -> Node:
    """Without weights only: DuckDB's quantile takes none."""
    if len(node.expressions) != 2:
        raise QueryError("NOT_SUPPORTED", "approx_percentile: weights are not supported locally", node)
    node.set("this", "approx_quantile")
    value, shares = node.expressions
    if isinstance(shares, exp.Array):
        # DuckDB has no spelling for DOUBLE[].
        node.set(
            "expressions", [value, exp.Cast(this=shares, to=exp.DataType.build("FLOAT[]", dialect="duckdb"))]
        )
    return node


def extreme_shape(node: exp.Anonymous) -> Node:
    """`max_by` and `min_by`, of one row or of the first n."""
    side = str(node.this).lower()[:3]
    node.set("this", f"arg_{side}" if len(node.expressions) == 3 else f"arg_{side}_null")
    return node


JSON_MEMBER = re.compile(r"""\[(["'])(.*?)\1\]""")


def json_path_shape(name: str) -> Callable[[exp.Anonymous], Node]:
    """A function with a JSON path; `$["a b"]` is `$."a b"` in DuckDB."""

    def shape(node: exp.Anonymous) -> Node:
        path = node.expressions[1]
        if isinstance(path, exp.Literal):
            path.set("this", JSON_MEMBER.sub(r'."\2"', path.name))
        node.set("this", name)
        return node

    return shape


def zip_with_shape(node: exp.Anonymous) -> Node:
    """`zip_with(a, b, (x, y) -> …)`: one lambda over pairs."""
    left, right, function = node.expressions
    names = dict(zip([p.name.lower() for p in function.expressions], (1, 2), strict=True))
    return unless_null(
        call("list_transform", call("list_zip", left, right), pair_lambda(function, names)), left, right
    )


def unless_null(made: Node, *sources: Node) -> Node:
    """NULL where one of the sources is, from which DuckDB's `list_zip` makes an empty list."""
    tests = [exp.Is(this=exp.Paren(this=source.copy()), expression=exp.Null()) for source in sources]
    return exp.If(this=exp.or_(*tests), true=exp.Null(), false=made)


def pair_lambda(function: Node, names: Mapping[str, int]) -> exp.Lambda:
    """A lambda of two parameters as one of a pair."""
    body = function.this.copy()
    for node in list(body.find_all(exp.Identifier)):
        position = names.get(node.name.lower())
        if position is None:
            continue
        target = node.parent if isinstance(node.parent, exp.Column) else node
        pair = exp.Bracket(this=exp.to_identifier("pair"), expressions=[exp.Literal.number(position)])
        if target is body:
            body = pair
        else:
            target.replace(pair)
    return exp.Lambda(this=body, expressions=[exp.to_identifier("pair")])


def map_lambda(keys: str, values: str) -> Callable[[exp.Anonymous], Node]:
    """A function over the entries of a map; `{f}` is the lambda, `{m}` the map."""

    def shape(node: exp.Anonymous) -> Node:
        source, function = node.expressions
        first, second = (p.name.lower() for p in function.expressions)
        entry = pair_lambda(function, {first: 1, second: 2})
        rows = call("list_zip", call("map_keys", source), call("map_values", source.copy()))
        if keys == "filter":
            kept = call("list_filter", rows, entry)
            return unless_null(call("map_from_entries", kept), source)
        pairs = [part(rows, entry, choice) for choice in (keys, values)]
        return unless_null(call("map", *pairs), source)

    return shape


def part(rows: Node, entry: exp.Lambda, choice: str) -> Node:
    """Keys or values of the map that `map_lambda` builds."""
    if choice == "lambda":
        return call("list_transform", rows.copy(), entry.copy())
    position = exp.Literal.number(1 if choice == "key" else 2)
    body = exp.Bracket(this=exp.to_identifier("pair"), expressions=[position])
    return call("list_transform", rows.copy(), exp.Lambda(this=body, expressions=[exp.to_identifier("pair")]))


def join_shape(node: exp.Anonymous) -> Node:
    """`array_join` joins what CAST AS VARCHAR makes of the elements."""
    text = call("trino_varchar", exp.to_identifier("element"), exp.Literal.number(6))
    function = exp.Lambda(this=text, expressions=[exp.to_identifier("element")])
    array, *others = node.expressions
    return call("trino_array_join", call("list_transform", array, function), *others)


def count_shape(node: exp.Anonymous) -> Node:
    """`count` takes one argument; DuckDB takes rows of several."""
    first = node.expressions[0] if node.expressions else exp.Star()
    if len(first.expressions if isinstance(first, exp.Distinct) else node.expressions) > 1:
        raise QueryError(
            "FUNCTION_NOT_FOUND", "Unexpected parameters for function count. Expected: count(T)", node
        )
    return node


def mod_shape(node: exp.Anonymous) -> Node:
    """`mod(n, m)` is `n % m`."""
    left, right = (exp.Paren(this=operand) for operand in node.expressions)
    return exp.Mod(this=left, expression=right)


def zone_shape(node: exp.Anonymous) -> Node:
    """A function with a time zone; DuckDB knows no offsets as zones."""
    name = str(node.this).lower()
    zone: Node = node.expressions[1]
    minutes = offset_minutes(zone.name) if isinstance(zone, exp.Literal) else None
    if minutes is None:
        node.set("this", "trino_with_timezone" if name == "with_timezone" else name)
        return node
    if name == "trino_offset":
        return zone
    clock = exp.Paren(this=exp.cast(node.expressions[0], "TIMESTAMP"))
    earlier = exp.Interval(this=exp.Literal.string(str(minutes)), unit=exp.var("MINUTE"))
    return exp.AtTimeZone(
        this=exp.Paren(this=exp.Sub(this=clock, expression=earlier)), zone=exp.Literal.string("UTC")
    )


SHAPES: Mapping[str, Callable[[exp.Anonymous], Node]] = {
    "reduce": reduce_shape,
    "concat": concat_shape,
    "count": count_shape,
    "array_join": join_shape,
    "approx_distinct": approx_distinct_shape,
    "approx_percentile": approx_percentile_shape,
    "format": format_call,
    "json_extract": json_path_shape("trino_json_extract"),
    "json_extract_scalar": json_path_shape("trino_json_extract_scalar"),
    "json_size": json_path_shape("trino_json_size"),
    "max_by": extreme_shape,
    "mod": mod_shape,
    "min_by": extreme_shape,
    "zip_with": zip_with_shape,
    "with_timezone": zone_shape,
    "map_filter": map_lambda("filter", ""),
    "transform_keys": map_lambda("lambda", "value"),
    "transform_values": map_lambda("key", "lambda"),
}
