"""Everything durable: Postgres and Valkey. See README.md in this folder."""
