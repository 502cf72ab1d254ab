set local lock_timeout = '5s';
set local role taskforge_owner;

drop policy worker on refresh_tokens;
create policy worker on refresh_tokens to taskforge_worker
    using ((user_id, session_id) in (select user_id, id from sessions));
drop policy mail on sessions;
revoke select (created_at, user_agent, ip) on sessions from taskforge_worker;
drop table account_tokens;
drop domain account_token_purpose;
alter table users drop column time_zone;

reset role;
