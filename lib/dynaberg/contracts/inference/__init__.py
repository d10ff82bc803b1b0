"""The drafting of a table contract from the items of a DynamoDB table that exists already.

What is seen becomes the narrowest exact types, names in snake_case, and comments that say what was seen, in
shapes and counts. Nothing here reads DynamoDB: items come in by pages. Public: `Draft`.
"""

from dynaberg.contracts.inference.draft import Draft

__all__ = ["Draft"]
