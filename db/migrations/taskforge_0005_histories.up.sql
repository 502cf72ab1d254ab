set local lock_timeout = '5s';
set local role taskforge_owner;

-- The journal ----------------------------------------------------------------------------------------------------------

create domain row_salt as bytea check (octet_length(value) = 16);
create domain row_digest as bytea check (octet_length(value) = 32);
create domain actor_kind as text check (value in ('user', 'key', 'agent', 'system'));
create domain schema_version as smallint check (value >= 1);

-- `digest` is the SHA-256 of salt and payload. Redacting a row takes its salt away and replaces its payload, and what was
-- there cannot be found by guessing, while checkpoints over the digests stay true.
-- `schema_version` is that of the payload: rows are never written anew, and older payloads are brought up to date by who
-- reads them. Programs of the release before write version 1.
-- Both commands write the table anew and so fill the rows that are there: an update would see none of them, because row
-- security is forced on the owner too.
alter table task_events
    add salt row_salt default substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16),
    add digest row_digest,
    add actor_kind actor_kind not null default 'user',
    add via uuid,
    add schema_version schema_version not null default 1;
alter table task_events
    alter digest type row_digest using sha256(salt || convert_to(payload, 'UTF8')),
    alter digest set not null;

-- A program of the release before knows neither column: the default gives it a salt, and this the digest. Programs that
-- bring their own pay for one comparison of a row.
create function task_events_digest() returns trigger language plpgsql as $$
begin
    new.digest := sha256(new.salt || convert_to(new.payload, 'UTF8'));
    return new;
end
$$;
revoke execute on function task_events_digest() from public;
create trigger digest before insert on task_events
    for each row when (new.digest is null) execute function task_events_digest();

-- In which epoch an event was written: the highest whose `from_seq` is not above its seq. Epoch 1, from seq 1 on, has no
-- row: a team gets its first one when its history is rewritten, so that creating a team costs nothing, and so that those
-- which a program of the release before creates are right too. Like the journal it outlives its team.
create table team_epochs (
    team_id uuid not null,
    epoch team_epoch not null,
    from_seq numbered not null,
    primary key (team_id, epoch)
);
alter table teams no force row level security;
insert into team_epochs select id, epoch, seq + 1 from teams where epoch > 1;
alter table teams force row level security;
alter table team_epochs enable row level security;
alter table team_epochs force row level security;
grant select on team_epochs to taskforge_api, taskforge_worker;
grant select, insert on team_epochs to taskforge_writer;
create policy member on team_epochs for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy writer on team_epochs to taskforge_writer using (true) with check (true);
create policy worker on team_epochs for select to taskforge_worker using (true);

-- Event ids name the epoch: <team>:<epoch>:<seq>.
alter table inbox
    alter event_id type text using regexp_replace(event_id, '^([0-9a-f-]{36}):([0-9]+)$', '\1:1:\2');
alter table notifications
    alter event_id type text using regexp_replace(event_id, '^([0-9a-f-]{36}):([0-9]+)$', '\1:1:\2');

-- The rows of a group commit -------------------------------------------------------------------------------------------

-- These types are a contract between a program and the schema of later releases: none is ever changed. What needs another
-- attribute gets a new type, and those of the release before stay until no program of it can be running.
create type commit_team_2 as (id uuid, expected bigint, added bigint, top bigint, epoch integer);
create type commit_event_2 as (
    team_id uuid, seq bigint, type text, subject_id uuid, actor_id uuid, at timestamptz, traceparent text, payload bytea,
    salt bytea, digest bytea, actor_kind text, via uuid, schema_version smallint);
create type commit_settings as (
    id uuid, name text, key text, wip_limits json, created_by uuid, created_at timestamptz, updated_at timestamptz,
    version bigint);
create type commit_member as (team_id uuid, user_id uuid, role text, name text, joined_at timestamptz);
create type commit_label as (team_id uuid, id uuid, name text, color text);

-- The installation -----------------------------------------------------------------------------------------------------

-- One row. `format` is what a program must know at least to run here. The rest says which history the database is on: a
-- restored or promoted one differs in some of it. Null is what the migrating role may not read.
create table installation (
    id smallint not null primary key default 1 constraint installation_only_one check (id = 1),
    format integer not null constraint installation_format_check check (format >= 1),
    system_identifier bigint,
    timeline integer,
    database_oid bigint not null,
    journal_oid bigint not null
);
alter table installation enable row level security;
alter table installation force row level security;
grant select on installation to taskforge_api, taskforge_writer, taskforge_worker;
create policy everybody on installation for select to taskforge_api, taskforge_writer, taskforge_worker using (true);
create policy owner on installation to taskforge_owner using (true) with check (true);

reset role;

do $$
declare
    system bigint;
    line integer;
begin
    if has_function_privilege('pg_control_system()', 'execute') then
        select system_identifier into system from pg_control_system();
    end if;
    if has_function_privilege('pg_control_checkpoint()', 'execute') then
        select timeline_id into line from pg_control_checkpoint();
    end if;
    insert into installation (format, system_identifier, timeline, database_oid, journal_oid)
    select 1, system, line, oid, 'task_events'::regclass::oid from pg_database where datname = current_database();
end $$;
