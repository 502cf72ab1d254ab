set local lock_timeout = '5s';
set local role taskforge_owner;

-- Who had dead letters tried again, when and why: the audit of operators. `who` is a login of the machine or the name that
-- was given with the operators' token, never a user of ours; `wanted` says in words which letters were asked for.
-- `letters` were sent by the time of `ended_at`; a row without it was cut off, and what it has sent is in its marks.
create table dead_letter_replays (
    id uuid not null primary key,
    at timestamptz not null default now(),
    who text not null check (char_length(who) between 1 and 200),
    why text not null check (char_length(why) between 1 and 500),
    wanted text not null check (char_length(wanted) <= 2000),
    letters integer not null default 0 check (letters >= 0),
    ended_at timestamptz
);
create index dead_letter_replays_at on dead_letter_replays (at);

-- Which dead letters were sent again. Offsets mean something in one life of the broker only, hence its `incarnation`.
create table replayed_dead_letters (
    incarnation text not null check (char_length(incarnation) <= 64),
    consumer text not null check (char_length(consumer) <= 64),
    partition integer not null check (partition >= 0),
    position bigint not null check (position >= 0),
    replay_id uuid not null references dead_letter_replays on delete cascade,
    primary key (incarnation, consumer, partition, position)
);
create index replayed_dead_letters_replay on replayed_dead_letters (replay_id);

alter table dead_letter_replays enable row level security;
alter table dead_letter_replays force row level security;
alter table replayed_dead_letters enable row level security;
alter table replayed_dead_letters force row level security;

grant select, insert, update, delete on dead_letter_replays, replayed_dead_letters to taskforge_worker;
create policy worker on dead_letter_replays to taskforge_worker using (true) with check (true);
create policy worker on replayed_dead_letters to taskforge_worker using (true) with check (true);

reset role;
