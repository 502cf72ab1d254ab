"""Questions about a team as a whole, answered by SQL that is meant to be read: one module for each.

They read with the eyes of whoever asks: each joins the asker's membership, and row security is the second wall. Dates
and weeks come in as instants (`core.calendar`). What Postgres does for each is kept in `docs/queries`.
"""
