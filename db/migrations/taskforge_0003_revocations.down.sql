set local lock_timeout = '5s';

drop policy if exists revocations on sessions;
drop index sessions_revoked_at;
