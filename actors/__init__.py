"""Concurrency only: one actor per team, one committer per process. Knows no database, no broker, no HTTP."""
