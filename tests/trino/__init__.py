"""Trino judges the SQL of the local Athena: `make trino` asks one, `make test` holds to its answers."""
