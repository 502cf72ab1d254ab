set local lock_timeout = '5s';
set local role taskforge_owner;

-- Boards of the past: a team as it was at one `seq`, of which the object store has the bytes. A row is there before its
-- object and goes after it, as those of `objects`; until the object is whole `key` is null. `digest` is that of the journal
-- row at `seq`, by which a reader knows that the snapshot is of the history that stands; `format` names the shape of the
-- bytes, so that two releases side by side have their own. The team's end takes the rows last, so there is no foreign key.
create table board_snapshots (
    team_id uuid not null,
    id uuid not null,
    epoch integer not null check (epoch >= 1),
    seq bigint not null check (seq > 0),
    digest bytea not null check (octet_length(digest) = 32),
    format text not null check (char_length(format) between 1 and 64),
    key text constraint board_snapshots_key_key unique check (char_length(key) between 1 and 500),
    size bigint check (size >= 0),
    sha256 bytea check (octet_length(sha256) = 32),
    made_at timestamptz not null default now(),
    expires_at timestamptz,
    primary key (team_id, id),
    constraint board_snapshots_whole check ((key is null) = (size is null) and (key is null) = (sha256 is null)),
    constraint board_snapshots_unfinished check (key is not null or expires_at is not null)
);
create unique index board_snapshots_place on board_snapshots (team_id, format, seq) where expires_at is null;
create index board_snapshots_expires_at on board_snapshots (expires_at) where expires_at is not null;

-- How often a team's snapshots were dropped because of what its journal has forgotten. Whoever makes one has read the
-- journal before: it is kept only if nothing was dropped since.
create table board_snapshot_drops (
    team_id uuid not null primary key,
    drops bigint not null check (drops > 0)
);

-- What a member has looked at. It goes with the membership, and is no event.
create table team_seen (
    team_id uuid not null,
    user_id uuid not null,
    epoch integer not null check (epoch >= 1),
    seq bigint not null check (seq >= 0),
    seen_at timestamptz not null default now(),
    primary key (team_id, user_id),
    constraint team_seen_member foreign key (team_id, user_id) references memberships (team_id, user_id) on delete cascade
);
create index team_seen_user on team_seen (user_id);

alter table board_snapshots enable row level security;
alter table board_snapshots force row level security;
alter table board_snapshot_drops enable row level security;
alter table board_snapshot_drops force row level security;
alter table team_seen enable row level security;
alter table team_seen force row level security;

-- The worker makes and drops them; members find those of their teams.
grant select on board_snapshots to taskforge_api;
create policy member on board_snapshots for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
grant select, insert, update, delete on board_snapshots to taskforge_worker;
create policy worker on board_snapshots to taskforge_worker using (true) with check (true);
grant select, insert, update on board_snapshot_drops to taskforge_worker;
create policy worker on board_snapshot_drops to taskforge_worker using (true) with check (true);

-- Everybody's own, in the teams that they are members of.
grant select, insert, update (epoch, seq, seen_at) on team_seen to taskforge_api;
create policy own on team_seen to taskforge_api
    using (user_id = (select app_user())
           and team_id in (select team_id from memberships where user_id = (select app_user())))
    with check (user_id = (select app_user())
                and team_id in (select team_id from memberships where user_id = (select app_user())));
grant select (user_id), delete on team_seen to taskforge_redactor;
create policy redactor on team_seen to taskforge_redactor using (true);

reset role;
