"""Where a column of a query comes from, by the words of the statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import is_

from sqlglot import exp

from local_aws.athena.typed.scopes import named_cte

Node = exp.Expr
Origin = tuple[Node, exp.Select | None]
MOST_KNOWN = 16
KNOWN: dict[int, tuple[Sequence[Node], Mapping[str, Sequence[Node]]]] = {}


def variable_sources(name: exp.Identifier) -> list[Node]:
    """The arrays and maps that a lambda's variable is an element of."""
    function = name.find_ancestor(exp.Lambda)
    while function is not None and name.name not in [parameter.name for parameter in function.expressions]:
        function = function.find_ancestor(exp.Lambda)
    called = function.parent if function is not None else None
    return [a for a in called.expressions if not isinstance(a, exp.Lambda)] if called is not None else []


def branches(query: Node | None) -> Iterator[exp.Select]:
    """The SELECTs whose rows a query gives, one for each side of its set operations."""
    while isinstance(query, (exp.Subquery, exp.Paren)):
        query = query.this
    if isinstance(query, exp.SetOperation):
        yield from branches(query.this)
        yield from branches(query.expression)
    elif isinstance(query, exp.Select):
        yield query


def column_origins(column: Node, select: exp.Select | None) -> Iterator[Origin]:
    """What a column of a SELECT stands for, each with its SELECT; a table stands for its own columns."""
    if select is None:
        return
    sources = [select.args.get("from_"), *(select.args.get("joins") or [])]
    named = [source.this for source in sources if source is not None]
    table = column.args.get("table")
    if table:
        named = [s for s in named if s.alias_or_name.lower() == table.name.lower()]
    for source in named:
        yield from source_origins(column.name.lower(), source)


def source_origins(name: str, source: Node) -> Iterator[Origin]:
    """What a column of one source stands for."""
    alias = source.args.get("alias")
    names = [column.name.lower() for column in alias.columns] if isinstance(alias, exp.TableAlias) else []
    place = names.index(name) if name in names else None
    if isinstance(source, exp.Table):
        cte = named_cte(source)
        if cte is None or (cte.parent and cte.parent.args.get("recursive")):
            yield source, None
            return
        listed = [column.name.lower() for column in cte.args["alias"].columns]
        place = listed.index(name) if place is None and name in listed else place
        queries = list(branches(cte.this))
    elif isinstance(source, exp.Subquery):
        queries = list(branches(source.this))
    elif isinstance(source, exp.Values):
        for row in source.expressions:
            values = row.expressions if isinstance(row, exp.Tuple) else [row]
            yield from ((value, None) for i, value in enumerate(values) if place in (None, i))
        return
    else:
        children = (child for child in source.iter_expressions() if not isinstance(child, exp.TableAlias))
        yield from ((child, None) for child in children)
        return
    for query in queries:
        yield from select_origins(name, place, query)


def select_origins(name: str, place: int | None, query: exp.Select) -> Iterator[Origin]:
    """What a column of a query, by its name or its place, stands for."""
    if place is not None and place < len(query.expressions) and not query.is_star:
        yield query.expressions[place].unalias(), query
        return
    named = by_name(query)
    yield from ((expression.unalias(), query) for expression in named.get(name, ()))
    for _ in named.get("*", ()):
        yield from column_origins(exp.column(name), query)


def by_name(query: exp.Select) -> Mapping[str, Sequence[Node]]:
    """The expressions of a SELECT by their names, its stars as `*`; read once, for it may have hundreds."""
    known, names = KNOWN.get(id(query), ((), {}))
    if len(known) == len(query.expressions) and all(map(is_, known, query.expressions)):
        return names
    found: defaultdict[str, list[Node]] = defaultdict(list)
    for expression in query.expressions:
        found["*" if expression.is_star else expression.alias_or_name.lower()].append(expression)
    if len(KNOWN) >= MOST_KNOWN:
        KNOWN.clear()
    # Kept with its expressions, whose places in memory are no others' as long as they are here.
    KNOWN[id(query)] = list(query.expressions), found
    return found
