set local lock_timeout = '5s';
set local role taskforge_owner;

-- How far each schedule has been fired. A schedule is the installation's, not a team's; which there are, the program knows.
create table schedules (
    name text not null primary key check (char_length(name) between 1 and 64),
    fired_until timestamptz not null,
    moved_at timestamptz not null default now()
);

-- What schedules have caused, for whom and for which occurrence (a date, a moment): an effect commits with its mark.
create table schedule_marks (
    schedule text not null check (char_length(schedule) between 1 and 64),
    subject_id uuid not null,
    occurrence text not null check (char_length(occurrence) between 1 and 64),
    marked_at timestamptz not null default now(),
    primary key (schedule, subject_id, occurrence)
);
create index schedule_marks_marked_at on schedule_marks (marked_at);

-- Whose morning it is.
create index users_time_zone on users (time_zone) where erased_at is null;

alter table schedules enable row level security;
alter table schedules force row level security;
alter table schedule_marks enable row level security;
alter table schedule_marks force row level security;

grant select, insert, update on schedules to taskforge_worker;
create policy worker on schedules to taskforge_worker using (true) with check (true);
grant select, insert, delete on schedule_marks to taskforge_worker;
create policy worker on schedule_marks to taskforge_worker using (true) with check (true);

reset role;
