set local lock_timeout = '5s';

-- Roles belong to the cluster: another database, or another migration running right now, may have made them already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['taskforge_owner', 'taskforge_api', 'taskforge_writer', 'taskforge_worker'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format(
                    'create role %I login noinherit nosuperuser nobypassrls nocreatedb nocreaterole noreplication', wanted);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
    if exists (select from pg_roles where rolname in ('taskforge_api', 'taskforge_writer', 'taskforge_worker')
               and (rolsuper or rolbypassrls)) then
        raise exception 'a TaskForge role is superuser or bypasses row-level security: take that away first';
    end if;
    if not has_schema_privilege('taskforge_owner', 'public', 'create') then
        grant usage, create on schema public to taskforge_owner;
    end if;
end $$;

grant usage on schema public to taskforge_api, taskforge_writer, taskforge_worker;
alter table if exists migration owner to taskforge_owner;

set local role taskforge_owner;

-- People ------------------------------------------------------------------------------------------------------------

-- Full Unicode case mapping, as Python's str.lower(): the same address is the same row whatever the database's locale.
create table users (
    id uuid not null primary key,
    email text collate pg_unicode_fast not null check (char_length(email) between 3 and 320),
    name text not null check (char_length(name) between 1 and 200),
    password_hash text check (password_hash <> ''),
    email_verified_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create unique index users_email_key on users (lower(email));

create table sessions (
    id uuid not null primary key,
    user_id uuid not null references users (id) on delete cascade,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    user_agent text not null default '' check (char_length(user_agent) <= 1000),
    ip inet,
    unique (user_id, id)
);
create index sessions_expires_at on sessions (expires_at);

-- `session_id` is the family. `successor_sealed` holds the successor, encrypted under the presented token itself, so
-- that the grace of ten seconds can hand out the same successor again although only hashes are stored.
create table refresh_tokens (
    id uuid not null primary key,
    token_hash bytea not null constraint refresh_tokens_hash_key unique check (octet_length(token_hash) = 32),
    session_id uuid not null,
    user_id uuid not null,
    parent_id uuid references refresh_tokens (id) on delete set null,
    successor_id uuid references refresh_tokens (id) on delete set null deferrable initially deferred,
    successor_sealed bytea,
    issued_at timestamptz not null,
    consumed_at timestamptz,
    expires_at timestamptz not null,
    foreign key (user_id, session_id) references sessions (user_id, id) on delete cascade
);
create index refresh_tokens_family on refresh_tokens (user_id, session_id);
create index refresh_tokens_parent_id on refresh_tokens (parent_id);
create index refresh_tokens_successor_id on refresh_tokens (successor_id);
create index refresh_tokens_expires_at on refresh_tokens (expires_at);

-- Teams -------------------------------------------------------------------------------------------------------------

-- `seq` is the fence and changes with every commit: no index may cover it, so that the update stays heap-only.
create table teams (
    id uuid not null primary key,
    seq bigint not null default 0 check (seq >= 0),
    epoch integer not null default 1 check (epoch >= 1),
    name text not null check (char_length(name) between 1 and 100),
    key text not null check (key ~ '^[A-Z][A-Z0-9]{1,9}$'),
    wip_limits json not null default '{}' check (json_typeof(wip_limits) = 'object'),
    top_number bigint not null default 0 check (top_number >= 0),
    created_by uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null check (version >= 0)
) with (fillfactor = 80);

create table memberships (
    team_id uuid not null references teams (id) on delete cascade,
    user_id uuid not null references users (id),
    role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    name text not null check (char_length(name) between 1 and 200),
    joined_at timestamptz not null,
    primary key (team_id, user_id)
);
create index memberships_user_id on memberships (user_id, team_id);

create table labels (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null,
    name text collate pg_unicode_fast not null check (char_length(name) between 1 and 50),
    color text not null check (color ~ '^#[0-9a-fA-F]{6}$'),
    primary key (team_id, id)
);
create unique index labels_name_key on labels (team_id, casefold(name));

-- Tasks -------------------------------------------------------------------------------------------------------------

-- Text that is sorted compares by code point, as Python compares it. No btree covers title, description, version or
-- updated_at, so that the commonest updates stay heap-only (a BRIN index does not stand in their way).
create table tasks (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null,
    number bigint not null check (number > 0),
    title text collate "C" not null check (char_length(title) between 1 and 500),
    description text collate "C" not null check (octet_length(description) <= 65536),
    status text not null check (status in ('open', 'in_progress', 'in_review', 'done', 'cancelled')),
    priority text not null check (priority in ('urgent', 'high', 'medium', 'low', 'none')),
    assignee_id uuid,
    label_ids uuid[] not null check (cardinality(label_ids) <= 50),
    due_at timestamptz,
    estimate double precision check (estimate between 0 and 10000),
    parent_id uuid check (parent_id <> id),
    blocked_by uuid[] not null check (cardinality(blocked_by) <= 50),
    rank text collate "C" not null check (rank <> ''),
    external_id text check (char_length(external_id) between 1 and 200),
    external_source text check (char_length(external_source) between 1 and 200),
    comment_count integer not null check (comment_count >= 0),
    attachment_count integer not null check (attachment_count >= 0),
    created_by uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    completed_at timestamptz,
    archived_at timestamptz,
    version bigint not null check (version > 0),
    primary key (team_id, id),
    constraint tasks_number_key unique (team_id, number),
    constraint tasks_external_key unique (team_id, external_source, external_id),
    constraint tasks_external_pair check ((external_id is null) = (external_source is null)),
    constraint tasks_parent_fkey foreign key (team_id, parent_id) references tasks (team_id, id)
        on delete set null (parent_id)
) with (fillfactor = 80);
create index tasks_id on tasks (id);
create index tasks_created_at on tasks (team_id, created_at, id);
create index tasks_due_at on tasks (team_id, due_at, id);
create index tasks_status on tasks (team_id, status);
create index tasks_priority on tasks (team_id, priority);
create index tasks_assignee on tasks (team_id, assignee_id);
create index tasks_parent on tasks (team_id, parent_id);
create index tasks_archived on tasks (team_id, archived_at) where archived_at is not null;
create index tasks_labels on tasks using gin (label_ids);
create index tasks_updated_at on tasks using brin (updated_at);

-- The journal: audit trail, feed history and outbox in one; nobody may change or delete its rows. It has no foreign
-- key, because it outlives its team and because the fence, in the same statement, proves that the team is there.
-- `payload` is json, not jsonb: the text is kept to the byte.
create table task_events (
    team_id uuid not null,
    seq bigint not null check (seq > 0),
    type text not null check (type <> ''),
    subject_id uuid not null,
    actor_id uuid not null,
    payload json not null,
    traceparent text not null default '',
    at timestamptz not null,
    primary key (team_id, seq)
);
create index task_events_subject on task_events (team_id, subject_id, seq);

create table relay_cursors (
    team_id uuid not null primary key references teams (id) on delete cascade,
    published_seq bigint not null default 0 check (published_seq >= 0),
    updated_at timestamptz not null default now()
) with (fillfactor = 80);

create table comments (
    team_id uuid not null,
    id uuid not null,
    task_id uuid not null,
    author_id uuid not null,
    body text not null check (body <> '' and octet_length(body) <= 65536),
    mentions uuid[] not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null check (version > 0),
    primary key (team_id, id),
    foreign key (team_id, task_id) references tasks (team_id, id) on delete cascade
);
create index comments_id on comments (id);
create index comments_task on comments (team_id, task_id, id);
create index comments_author on comments (team_id, author_id);

-- What makes effects happen once --------------------------------------------------------------------------------------

-- `principal` is a user or an API key; `team_id` is null for answers that belong to no team.
create table idempotency_keys (
    principal uuid not null,
    key text not null check (char_length(key) between 1 and 255),
    team_id uuid references teams (id) on delete cascade,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    status smallint not null check (status between 100 and 599),
    headers json not null default '[]' check (json_typeof(headers) = 'array'),
    body bytea not null,
    seq bigint not null default 0 check (seq >= 0),
    created_at timestamptz not null default now(),
    primary key (principal, key)
);
create index idempotency_keys_team on idempotency_keys (team_id);
create index idempotency_keys_created_at on idempotency_keys (created_at);

create table inbox (
    consumer text not null check (consumer <> ''),
    event_id text not null check (event_id <> ''),
    at timestamptz not null default now(),
    primary key (consumer, event_id)
);
create index inbox_at on inbox (at);

create table notifications (
    user_id uuid not null references users (id) on delete cascade,
    id uuid not null,
    team_id uuid not null references teams (id) on delete cascade,
    kind text not null check (kind <> ''),
    task_id uuid,
    actor_id uuid,
    event_id text not null check (event_id <> ''),
    data json not null default '{}',
    created_at timestamptz not null,
    read_at timestamptz,
    primary key (user_id, id),
    constraint notifications_event_key unique (user_id, event_id, kind)
);
create index notifications_unread on notifications (user_id, id) where read_at is null;
create index notifications_team on notifications (team_id);

reset role;
