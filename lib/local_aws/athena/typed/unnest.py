"""UNNEST in the FROM clause, as a lateral sub-query of DuckDB's `unnest`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from local_aws.athena.dialect import QueryError, call, parse_type
from local_aws.athena.typed.scopes import Describe, operand_types

Node = exp.Expr


def rewrite_unnest(tree: Node, describe: Describe) -> None:
    """Replaces every UNNEST in place; arrays give a column, maps two, arrays of rows one for each field."""
    for node in list(tree.find_all(exp.Unnest)):
        select = node.find_ancestor(exp.Select)
        if select is None:
            continue
        before = scope_before(select, node)
        types = operand_types(before, node.expressions, describe)
        node.replace(lateral(node, types))


def scope_before(select: exp.Select, node: exp.Unnest) -> exp.Select:
    """The SELECT with only what stands before an UNNEST in its FROM clause."""
    marked = node.meta
    marked["here"] = True
    scope = select.copy()
    node.meta.pop("here")
    scope.parent = select.parent
    joins = scope.args.get("joins") or []
    for i, join in enumerate(joins):
        if join.find(exp.Unnest) and any(u.meta.get("here") for u in join.find_all(exp.Unnest)):
            scope.set("joins", joins[:i])
            return scope
    scope.set("from_", None)
    scope.set("joins", [])
    return scope


def lateral(node: exp.Unnest, types: Sequence[str | None]) -> Node:
    """The lateral sub-query of an UNNEST."""
    alias = node.args.get("alias")
    names = [column.name for column in alias.columns] if alias else []
    ordinality = node.args.get("offset")
    columns: list[Node] = []
    for array, kind in zip(node.expressions, types, strict=True):
        columns += unnested(array, kind)
    if ordinality:
        lengths = [
            call("coalesce", call("len", as_list(a, k)), exp.Literal.number(0))
            for a, k in zip(node.expressions, types, strict=True)
        ]
        longest = call("greatest", *lengths) if len(lengths) > 1 else lengths[0]
        numbers = call("generate_series", exp.Literal.number(1), longest)
        columns.append(call("unnest", numbers))
        names.append(ordinality.name if isinstance(ordinality, exp.Identifier) else "ordinality")
    if names and len(names) != len(columns):
        raise QueryError(
            "MISMATCHED_COLUMN_ALIASES",
            f"Column alias list has {len(names)} entries but relation has {len(columns)} columns",
            node,
        )
    if names:
        columns = [
            exp.alias_(column.unalias(), name, quoted=True)
            for column, name in zip(columns, names, strict=True)
        ]
    inner = exp.Subquery(this=exp.Select(expressions=columns))
    table = exp.TableAlias(this=alias.this.copy() if alias and alias.this else exp.to_identifier("unnested"))
    if isinstance(node.parent, exp.Join):
        return exp.Lateral(this=inner, alias=table)
    inner.set("alias", table)
    return inner


def as_list(array: Node, kind: str | None) -> Node:
    """What DuckDB unnests: a map as its entries."""
    if kind and kind.startswith("MAP"):
        return call("map_entries", array.copy())
    return array.copy()


def unnested(array: Node, kind: str | None) -> list[Node]:
    """The columns that one argument of UNNEST gives."""
    if kind and kind.startswith("MAP"):
        parts = ("map_keys", "map_values")
        return [call("unnest", call(part, array.copy())) for part in parts]
    if kind and kind.startswith("STRUCT") and kind.endswith("[]"):
        entry = call("unnest", array.copy())
        return [
            exp.alias_(
                call("struct_extract_at", entry.copy(), exp.Literal.number(i)),
                name,
                quoted=True,
            )
            for i, name in enumerate(field_names(kind), 1)
        ]
    return [call("unnest", array.copy())]


def field_names(kind: str) -> list[str]:
    """The fields of an array of rows, by DuckDB's text of the type."""
    element = parse_type(kind).children[0][1]
    return [name or f"field{i}" for i, (name, _) in enumerate(element.children)]
