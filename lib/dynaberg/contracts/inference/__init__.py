"""The drafting of a table contract from the items of a DynamoDB table that exists already.

What is seen becomes the narrowest exact types, names in snake_case, and comments that say what was seen, in
shapes and counts. Nothing here reads DynamoDB: items come in by pages. Public: `Draft`, the kinds of
items of a table with several, and the comments that stay when it is drafted again.
"""

from dynaberg.contracts.inference.comments import keep_comments
from dynaberg.contracts.inference.draft import Draft
from dynaberg.contracts.inference.entities import EntityTypes, Kind, is_type_attribute
from dynaberg.contracts.inference.seen import attributes_by_name

__all__ = [
    "Draft",
    "EntityTypes",
    "Kind",
    "attributes_by_name",
    "is_type_attribute",
    "keep_comments",
]
