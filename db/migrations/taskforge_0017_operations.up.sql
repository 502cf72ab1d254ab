set local lock_timeout = '5s';
set local role taskforge_owner;

-- What takes longer than a request, as a state machine. `version` is what a move is compared with; `next_at` is when the
-- operation may be moved again: now, after a pause, or, while somebody moves it, when that one's lease ends. There is no
-- foreign key to users and teams: what erases one of them is still to be finished and read when it is gone.
create table operations (
    id uuid not null primary key,
    kind text not null check (char_length(kind) between 1 and 64),
    user_id uuid not null,
    team_id uuid,
    status text not null
        check (status in ('waiting', 'running', 'compensating', 'succeeded', 'failed', 'stuck')),
    undoing boolean not null,
    steps json not null,
    progress double precision not null check (progress between 0 and 1),
    data json not null,
    result json,
    error text check (char_length(error) between 1 and 500),
    version bigint not null check (version >= 0),
    attempts integer not null check (attempts >= 0),
    next_at timestamptz not null,
    traceparent text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    ended_at timestamptz,
    constraint operations_end check ((ended_at is not null) = (status in ('succeeded', 'failed')))
);
create index operations_due on operations (next_at) where ended_at is null;
create index operations_user on operations (user_id, id);
create index operations_ended_at on operations (ended_at) where ended_at is not null;
-- Whatever two processes look for at the same moment: a user has one export on its way.
create unique index operations_one_export on operations (user_id) where kind = 'export' and ended_at is null;

-- What the object store holds; its attributes are here, because not every store keeps any. A row is there before its
-- object, and goes after it, so that no object is without a row. Until the object is whole `key` is null.
create table objects (
    id uuid not null primary key,
    user_id uuid not null,
    team_id uuid,
    kind text not null check (char_length(kind) between 1 and 64),
    key text constraint objects_key_key unique check (char_length(key) between 1 and 500),
    name text not null check (char_length(name) between 1 and 255),
    media_type text not null check (char_length(media_type) between 3 and 200),
    size bigint check (size >= 0),
    sha256 bytea check (octet_length(sha256) = 32),
    created_at timestamptz not null,
    expires_at timestamptz,
    constraint objects_whole check ((key is null) = (size is null) and (key is null) = (sha256 is null))
);
create index objects_user on objects (user_id, id);
create index objects_expires_at on objects (expires_at) where expires_at is not null;

alter table operations enable row level security;
alter table operations force row level security;
alter table objects enable row level security;
alter table objects force row level security;

-- Users start operations of their own and read them; the worker moves them.
grant select, insert on operations to taskforge_api;
create policy own on operations for select to taskforge_api using (user_id = (select app_user()));
create policy start on operations for insert to taskforge_api
    with check (user_id = (select app_user()) and status = 'waiting' and version = 0 and created_at = now());
grant select, insert, update, delete on operations to taskforge_worker;
create policy worker on operations to taskforge_worker using (true) with check (true);

-- An object of a team is for whoever is a member now, another one for the user whose it is.
grant select on objects to taskforge_api;
create policy own on objects for select to taskforge_api
    using (case when team_id is null then user_id = (select app_user())
                else team_id in (select team_id from memberships where user_id = (select app_user())) end);
grant select, insert, update, delete on objects to taskforge_worker;
create policy worker on objects to taskforge_worker using (true) with check (true);

-- An export has what its user was and did: also teams that they have left, and invitations of teams whose admins they are
-- no more.
create policy own on former_members for select to taskforge_api using (user_id = (select app_user()));
create policy own on invitations for select to taskforge_api using (invited_by = (select app_user()));

reset role;
