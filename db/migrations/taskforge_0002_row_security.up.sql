set local lock_timeout = '5s';
set local role taskforge_owner;

-- Who is asking, per transaction. An empty or absent setting is null, and null matches no row.
create function app_user() returns uuid language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;
create function app_principal() returns uuid language sql stable parallel safe
    return coalesce(nullif(current_setting('app.principal', true), '')::uuid, app_user());
create function app_email() returns text language sql stable parallel safe
    return nullif(current_setting('app.email', true), '');
create function app_token_hash() returns bytea language sql stable parallel safe
    return decode(nullif(current_setting('app.token_hash', true), ''), 'hex');
revoke execute on function app_user(), app_principal(), app_email(), app_token_hash() from public;
grant execute on function app_user(), app_principal(), app_email(), app_token_hash() to taskforge_api;

-- Forced: not even the owner of the tables sees a row.
do $$
declare
    name text;
begin
    foreach name in array array['users', 'sessions', 'refresh_tokens', 'teams', 'memberships', 'labels', 'tasks',
                                'task_events', 'relay_cursors', 'comments', 'idempotency_keys', 'inbox',
                                'notifications'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
    end loop;
end $$;

-- The API: people ------------------------------------------------------------------------------------------------------

grant select, insert, update (email, name, password_hash, email_verified_at, updated_at) on users to taskforge_api;
create policy own on users to taskforge_api using (id = (select app_user())) with check (id = (select app_user()));
-- Before anybody is known: whoever names an address, or holds a token, sees that one row and no other.
create policy by_email on users for select to taskforge_api using (lower(email) = (select app_email()));

grant select, insert, update (last_used_at, expires_at, revoked_at), delete on sessions to taskforge_api;
create policy own on sessions to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));

grant select, insert, update (successor_id, successor_sealed, consumed_at, expires_at), delete on refresh_tokens
    to taskforge_api;
create policy own on refresh_tokens to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on refresh_tokens for select to taskforge_api using (token_hash = (select app_token_hash()));

-- The API: teams, read only --------------------------------------------------------------------------------------------

-- One's own memberships only, which also keeps the policies below from recursing.
grant select on memberships, teams, labels, tasks, task_events, comments to taskforge_api;
create policy own on memberships for select to taskforge_api using (user_id = (select app_user()));
create policy member on teams for select to taskforge_api
    using (id in (select team_id from memberships where user_id = (select app_user())));
create policy member on labels for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy member on tasks for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy member on task_events for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy member on comments for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));

grant select, update (read_at) on notifications to taskforge_api;
create policy own on notifications to taskforge_api
    using (user_id = (select app_user())
           and team_id in (select team_id from memberships where user_id = (select app_user())));

-- Answers without a team; those of a team are written by the committer, in the transaction of the effect.
grant select, insert, delete on idempotency_keys to taskforge_api;
create policy own on idempotency_keys for select to taskforge_api using (principal = (select app_principal()));
create policy own_insert on idempotency_keys for insert to taskforge_api
    with check (principal = (select app_principal()) and team_id is null);
create policy own_delete on idempotency_keys for delete to taskforge_api
    using (principal = (select app_principal()) and team_id is null);

-- The committer: the only writer of team data. It cannot change history and never sees a password ----------------------

grant select, insert, update on teams to taskforge_writer;
grant select, insert, update, delete on memberships, labels, tasks, comments to taskforge_writer;
grant select, insert on task_events, idempotency_keys, relay_cursors to taskforge_writer;
create policy writer on teams to taskforge_writer using (true) with check (true);
create policy writer on memberships to taskforge_writer using (true) with check (true);
create policy writer on labels to taskforge_writer using (true) with check (true);
create policy writer on tasks to taskforge_writer using (true) with check (true);
create policy writer on comments to taskforge_writer using (true) with check (true);
create policy writer on task_events to taskforge_writer using (true) with check (true);
create policy writer on idempotency_keys to taskforge_writer using (true) with check (true);
create policy writer on relay_cursors to taskforge_writer using (true) with check (true);

-- Relay and consumers: read everything of teams, write their own bookkeeping -------------------------------------------

grant select on teams, memberships, labels, tasks, task_events, comments to taskforge_worker;
grant select (id, email, name, email_verified_at, created_at) on users to taskforge_worker;
grant select, insert, update on relay_cursors to taskforge_worker;
grant select, insert, delete on inbox, notifications to taskforge_worker;
grant select (expires_at, id), delete on sessions to taskforge_worker;
grant select (expires_at, id), delete on refresh_tokens to taskforge_worker;
grant select (created_at, principal, key), delete on idempotency_keys to taskforge_worker;
create policy worker on teams for select to taskforge_worker using (true);
create policy worker on memberships for select to taskforge_worker using (true);
create policy worker on labels for select to taskforge_worker using (true);
create policy worker on tasks for select to taskforge_worker using (true);
create policy worker on task_events for select to taskforge_worker using (true);
create policy worker on comments for select to taskforge_worker using (true);
create policy worker on users for select to taskforge_worker using (true);
create policy worker on relay_cursors to taskforge_worker using (true) with check (true);
create policy worker on inbox to taskforge_worker using (true) with check (true);
create policy worker on notifications to taskforge_worker using (true) with check (true);
-- Housekeeping: what has expired may be deleted, nothing else.
create policy worker on sessions to taskforge_worker using (expires_at < now());
create policy worker on refresh_tokens to taskforge_worker using (expires_at < now());
create policy worker on idempotency_keys to taskforge_worker using (created_at < now() - interval '7 days');

reset role;
