"""After a restore everything goes on in the old epoch."""

from db.journal import commit_sql, epochs

epochs._RAISE = (  # type: ignore[misc]
    "select null::uuid as team_id, 0 as epoch"
    " where $1::int is null and $2::text is null and $3::uuid is null and $4::int is null"
)
commit_sql._SETTLED = ""  # type: ignore[misc]
