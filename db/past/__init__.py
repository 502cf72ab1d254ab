"""Boards of the past: teams as they were at a `seq`, from snapshots in the object store and the journal."""
