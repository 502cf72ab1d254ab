"""What asks the server which history it is on: `journal/epochs.py`, and every new connection that may write."""

from typing import Final

__all__ = ["MOVED", "RESTORED"]

# By compare-and-set, so that one process of many finds it. What one role may not read, and another could, is no change.
# A database without teams waits: it may be one that is just being restored, table by table.
MOVED: Final = """
with now as materialized (select * from current_history()),
moved as (
    update installation i set
        system_identifier = coalesce(n.system_identifier, i.system_identifier),
        timeline = coalesce(n.timeline, i.timeline), database_oid = n.database_oid, journal_oid = n.journal_oid
    from now n
    where exists (select from teams) and (
        i.system_identifier <> n.system_identifier or i.timeline <> n.timeline
        or i.database_oid <> n.database_oid or i.journal_oid <> n.journal_oid
    )
    returning i.id
)
"""
RESTORED: Final = f"""
{MOVED}
insert into epochs_due select t.id from teams t where exists (select from moved) on conflict do nothing
"""  # noqa: S608 (the text above)
