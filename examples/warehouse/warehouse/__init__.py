"""A copy of TaskForge in DuckDB: begun with a bootstrap or the topic, kept up to date, and proven by checkpoints."""
