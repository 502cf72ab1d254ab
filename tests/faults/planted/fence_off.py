"""A commit does not ask whether the team is at the seq that it was decided on."""

from db.journal import commit_sql

CONDITION = " and t.seq = w.expected"
_genuine = commit_sql._fence


def fence(*, keys: bool) -> str:
    text = _genuine(keys=keys)
    assert CONDITION in text
    return text.replace(CONDITION, "")


commit_sql._fence = fence
