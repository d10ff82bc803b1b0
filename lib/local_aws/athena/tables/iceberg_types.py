"""Iceberg's types by Athena's names, as DDL writes them (Hive) and as queries do (Trino), and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyiceberg import types as ice

from local_aws.athena.dialect import QueryError, outside

DDL_NAMES: dict[type[ice.IcebergType], str] = {
    ice.BooleanType: "boolean",
    ice.IntegerType: "int",
    ice.LongType: "bigint",
    ice.FloatType: "float",
    ice.DoubleType: "double",
    ice.DateType: "date",
    ice.TimeType: "time",
    ice.TimestampType: "timestamp",
    ice.TimestamptzType: "timestamp with time zone",
    ice.StringType: "string",
    ice.UUIDType: "uuid",
    ice.BinaryType: "binary",
}
QUERY_NAMES = DDL_NAMES | {
    ice.IntegerType: "integer",
    ice.FloatType: "real",
    ice.StringType: "varchar",
    ice.BinaryType: "varbinary",
    ice.TimeType: "time(6)",
    ice.TimestampType: "timestamp(6)",
    ice.TimestamptzType: "timestamp(6) with time zone",
}
PLAIN: dict[str, ice.IcebergType] = {
    name: kind()
    for kind, name in (*DDL_NAMES.items(), *QUERY_NAMES.items())
    if "(" not in name and kind is not ice.TimeType
} | {"long": ice.LongType(), "timestamptz": ice.TimestamptzType()}


def athena_type(kind: ice.IcebergType, *, for_query: bool = False) -> str:
    """The name of an Iceberg type, `array<string>` in DDL and `array(varchar)` in queries."""
    names, opening, closing = (QUERY_NAMES, "(", ")") if for_query else (DDL_NAMES, "<", ">")
    if isinstance(kind, ice.DecimalType):
        return f"decimal({kind.precision},{kind.scale})"
    if isinstance(kind, ice.FixedType):
        return "varbinary" if for_query else f"fixed({len(kind)})"
    if isinstance(kind, ice.ListType):
        return f"array{opening}{athena_type(kind.element_type, for_query=for_query)}{closing}"
    if isinstance(kind, ice.MapType):
        key, value = (athena_type(t, for_query=for_query) for t in (kind.key_type, kind.value_type))
        return f"map{opening}{key},{value}{closing}"
    if isinstance(kind, ice.StructType):
        link = " " if for_query else ":"
        fields = ",".join(
            f"{f.name}{link}{athena_type(f.field_type, for_query=for_query)}" for f in kind.fields
        )
        return f"{'row' if for_query else 'struct'}{opening}{fields}{closing}"
    return names[type(kind)]


def iceberg_type(text: str, ids: Iterator[int]) -> ice.IcebergType:
    """The Iceberg type that DDL names.

    Args:
        text: `decimal(10,2)`, `array<struct<a:int>>` and so on.
        ids: Field ids for what is inside arrays, maps and structs.

    Raises:
        QueryError: TYPE_NOT_FOUND, for a type that Iceberg tables do not have.
    """
    text = text.strip()
    plain = re.sub(r"^varchar\(\d+\)$", "varchar", text.lower())
    if plain in PLAIN:
        return PLAIN[plain]
    if found := re.fullmatch(r"decimal(?:\((\d+)\s*(?:,\s*(\d+)\s*)?\))?", plain):
        return ice.DecimalType(int(found[1] or 10), int(found[2] or 0))
    head, _, inner = text.partition("<")
    parts = split_outside(inner.rstrip()[:-1], ",") if inner.rstrip().endswith(">") else []
    match head.strip().lower(), parts:
        case "array", [element]:
            return ice.ListType(next(ids), iceberg_type(element, ids), element_required=False)
        case "map", [key, value]:
            return ice.MapType(
                next(ids), iceberg_type(key, ids), next(ids), iceberg_type(value, ids), value_required=False
            )
        case "struct", [_, *_]:
            pairs = [split_outside(part, ":") for part in parts]
            return ice.StructType(
                *(
                    ice.NestedField(
                        next(ids), name.strip().strip("`"), iceberg_type(":".join(rest), ids), required=False
                    )
                    for name, *rest in pairs
                )
            )
    raise QueryError("TYPE_NOT_FOUND", f"Unknown type: {text}")


def split_outside(text: str, separator: str) -> list[str]:
    """The pieces of DDL between separators that stand outside brackets."""
    return outside(text, separator, "<(", ">)")
