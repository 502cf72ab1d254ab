set local lock_timeout = '5s';
set local role taskforge_owner;

-- Housekeeping: sessions that ended more than a day ago, by then nobody asks any more which were revoked, and the refresh
-- tokens of those alone. A token that expired may be a used one of a session that goes on: whoever presents it again is
-- a thief, and is recognised only as long as the row is there.
drop policy worker on sessions;
drop policy worker on refresh_tokens;
grant select (user_id, revoked_at) on sessions to taskforge_worker;
grant select (user_id, session_id) on refresh_tokens to taskforge_worker;
create policy worker on sessions to taskforge_worker
    using (expires_at < now() - interval '1 day' or revoked_at < now() - interval '1 day');
create policy worker on refresh_tokens to taskforge_worker
    using ((user_id, session_id) in (select user_id, id from sessions));

reset role;
