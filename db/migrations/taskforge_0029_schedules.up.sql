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

-- A task that recurs carries its series. `next_id` is set once the series has passed on: what is still to be passed on is
-- found by when it is due, or by when it was done.
alter table tasks add column recurrence jsonb;
create index tasks_recur_at on tasks (due_at)
    where recurrence is not null and recurrence ->> 'next_id' is null and recurrence ->> 'when' = 'due'
      and archived_at is null and due_at is not null;
create index tasks_recur_on on tasks (due_on)
    where recurrence is not null and recurrence ->> 'next_id' is null and recurrence ->> 'when' = 'due'
      and archived_at is null and due_on is not null;
create index tasks_recur_done on tasks (completed_at)
    where recurrence is not null and recurrence ->> 'next_id' is null and recurrence ->> 'when' = 'done'
      and archived_at is null and completed_at is not null;

create type commit_task_3 as (
    team_id uuid, id uuid, number bigint, title text, status text, priority text, assignee_id uuid, label_ids uuid[],
    due_at timestamptz, estimate double precision, parent_id uuid, blocked_by uuid[], rank text, external_id text,
    external_source text, comment_count integer, attachment_count integer, created_by uuid, created_at timestamptz,
    updated_at timestamptz, completed_at timestamptz, archived_at timestamptz, version bigint, column_id uuid, due_on date,
    recurrence jsonb, description text);

reset role;
