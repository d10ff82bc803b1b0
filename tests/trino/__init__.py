"""Trino judges the SQL of the local Athena: `make trino` asks a real one, `make test` holds to what it answered."""
