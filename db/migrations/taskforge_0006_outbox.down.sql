set local lock_timeout = '5s';

drop policy worker on refresh_tokens;
drop policy worker on sessions;
revoke select (user_id, session_id) on refresh_tokens from taskforge_worker;
revoke select (user_id, revoked_at) on sessions from taskforge_worker;
create policy worker on sessions to taskforge_worker using (expires_at < now());
create policy worker on refresh_tokens to taskforge_worker using (expires_at < now());

drop table outbox;
drop domain outbox_topic, outbox_key, outbox_payload;
