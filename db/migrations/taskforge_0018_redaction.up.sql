set local lock_timeout = '5s';

-- Nobody signs in as the redactor: a worker takes the role on for the length of a transaction, and nothing of what the
-- role may do is the worker's otherwise. It belongs to the cluster, as all roles do. Who migrates as the owner of the
-- tables has it made beforehand, as those of 0001.
do $$
begin
    if not exists (select from pg_roles where rolname = 'taskforge_redactor') then
        begin
            create role taskforge_redactor nologin noinherit nosuperuser nobypassrls nocreatedb nocreaterole noreplication;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
    if not pg_has_role('taskforge_worker', 'taskforge_redactor', 'set') then
        grant taskforge_redactor to taskforge_worker with admin false, inherit false, set true;
    end if;
    if exists (select from pg_roles where rolname = 'taskforge_redactor' and (rolsuper or rolbypassrls)) then
        raise exception 'a TaskForge role is superuser or bypasses row-level security: take that away first';
    end if;
end $$;

grant usage on schema public to taskforge_redactor;

set local role taskforge_owner;

-- An account that was erased: its row stays, because history names it, and says nothing of a person any more.
alter table users add column erased_at timestamptz;
grant select (erased_at) on users to taskforge_worker;

-- The journal: a payload may be replaced, once its salt goes with it. All else of a row is as it was written for ever,
-- the digest too, over which checkpoints are made. Whoever owned the column grants would still meet the trigger.
grant select, update (payload, salt) on task_events to taskforge_redactor;
create policy redactor on task_events to taskforge_redactor using (true) with check (true);

create function task_events_redacted() returns trigger language plpgsql as $$
begin
    if new.salt is not null
       or to_jsonb(new) - 'payload' - 'salt' is distinct from to_jsonb(old) - 'payload' - 'salt'
       or array(select json_object_keys(new.payload::json)) is distinct from
          array(select json_object_keys(old.payload::json)) then
        raise exception 'a journal row may only be redacted' using errcode = 'check_violation';
    end if;
    return new;
end
$$;
revoke execute on function task_events_redacted() from public;
create trigger redacted before update on task_events for each row execute function task_events_redacted();

-- What else tells of a user, or of a task that was deleted for good. Each grant is of the columns that are emptied, and of
-- those by which the rows are found.
grant select (id, email, erased_at), update (email, name, password_hash, email_verified_at, time_zone, updated_at,
    erased_at) on users to taskforge_redactor;
grant select (id, user_id, revoked_at, expires_at), update (user_agent, ip, revoked_at) on sessions to taskforge_redactor;
grant select (user_id), delete on refresh_tokens, live_tickets, team_places to taskforge_redactor;
grant select (user_id, email), delete on account_tokens to taskforge_redactor;
grant select (id, user_id, revoked_at), update (name, revoked_at) on api_keys to taskforge_redactor;
grant select (team_id, user_id), update (name) on memberships, former_members to taskforge_redactor;
grant select (team_id, id, email), delete on invitations to taskforge_redactor;
grant select (user_id, team_id, task_id, data), update (data), delete on notifications to taskforge_redactor;
grant select (principal, key, team_id, status, body), update (headers, body), delete on idempotency_keys to taskforge_redactor;
grant select (id, seq) on teams to taskforge_redactor;

create policy redactor on users to taskforge_redactor using (true) with check (true);
create policy redactor on sessions to taskforge_redactor using (true) with check (true);
create policy redactor on refresh_tokens to taskforge_redactor using (true);
create policy redactor on live_tickets to taskforge_redactor using (true);
create policy redactor on team_places to taskforge_redactor using (true);
create policy redactor on account_tokens to taskforge_redactor using (true);
create policy redactor on api_keys to taskforge_redactor using (true) with check (true);
create policy redactor on memberships to taskforge_redactor using (true) with check (true);
create policy redactor on former_members to taskforge_redactor using (true) with check (true);
create policy redactor on invitations to taskforge_redactor using (true);
create policy redactor on notifications to taskforge_redactor using (true) with check (true);
create policy redactor on idempotency_keys to taskforge_redactor using (true) with check (true);
create policy redactor on teams to taskforge_redactor using (true);

reset role;
