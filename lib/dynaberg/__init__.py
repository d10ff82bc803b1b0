"""Dynaberg: the changes of a DynamoDB table, in Iceberg tables, in a notebook."""
