set local lock_timeout = '5s';
set local role taskforge_owner;

-- How far each team's history is taken into its checkpoint, and the last one that was published. `seq`, `epoch`, `digest`
-- and `at` are of the last event taken in, `chain` and the things beside it are what all of them add up to; a `format` that
-- is not that of the program, or a journal whose row at `seq` has another digest, begins anew at 0. `incarnation` is the
-- life of the broker that has the checkpoint at `published_seq`. The team's end takes the rows last, so there is no
-- foreign key.
create table checkpoints (
    team_id uuid not null primary key,
    format smallint not null check (format >= 1),
    epoch integer not null default 1 check (epoch >= 1),
    seq bigint not null default 0 check (seq >= 0),
    digest bytea not null default '' check (octet_length(digest) in (0, 32)),
    chain bytea not null default '\x0000000000000000000000000000000000000000000000000000000000000000'
        check (octet_length(chain) = 32),
    redacted_seq bigint not null default 0 check (redacted_seq >= 0),
    at timestamptz,
    published_seq bigint not null default 0 check (published_seq >= 0),
    published_epoch integer not null default 1 check (published_epoch >= 1),
    published_at timestamptz not null default '-infinity',
    incarnation text not null default '' check (char_length(incarnation) <= 64)
);

-- Of each thing that a team's events add up to at the checkpoint's `seq`: the SHA-256 of what they say of it last, and the
-- task that it hangs on. What they say is in the journal only.
create table checkpoint_things (
    team_id uuid not null,
    kind text not null check (kind in ('task', 'comment', 'attachment', 'member', 'label', 'column', 'team')),
    id uuid not null,
    task_id uuid,
    hash bytea not null check (octet_length(hash) = 32),
    primary key (team_id, kind, id)
);
create index checkpoint_things_task on checkpoint_things (team_id, task_id) where task_id is not null;

alter table checkpoints enable row level security;
alter table checkpoints force row level security;
alter table checkpoint_things enable row level security;
alter table checkpoint_things force row level security;

grant select, insert, update, delete on checkpoints, checkpoint_things to taskforge_worker;
create policy worker on checkpoints to taskforge_worker using (true) with check (true);
create policy worker on checkpoint_things to taskforge_worker using (true) with check (true);

reset role;
