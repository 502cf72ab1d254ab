"""After a restore everything goes on in the old epoch."""

from db.journal import commit_sql, epochs

epochs._RAISE = "select null::uuid as team_id where $1::int is null and $2::text is null and $3::uuid is null"  # type: ignore[misc]
commit_sql._SETTLED = ""  # type: ignore[misc]
