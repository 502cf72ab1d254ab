set local lock_timeout = '5s';
set local role taskforge_owner;

-- What is deleted for good, and not yet forgotten: a task, whose `subject_id` is its own, or a comment of the task. The row
-- is written with the deletion, and goes when a worker has redacted the journal and all copies; until then whoever reads
-- rows about the task leaves out what they say of the subject. A task's end takes those of its comments along.
create table redactions_due (
    team_id uuid not null references teams (id) on delete cascade,
    task_id uuid not null,
    subject_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (team_id, task_id, subject_id)
);

alter table redactions_due enable row level security;
alter table redactions_due force row level security;

grant select on redactions_due to taskforge_api;
create policy member on redactions_due for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
-- The writer adds what it deletes; on conflict it has to see what is there.
grant select, insert on redactions_due to taskforge_writer;
create policy writer on redactions_due to taskforge_writer using (true) with check (true);
grant select, delete on redactions_due to taskforge_worker;
create policy worker on redactions_due to taskforge_worker using (true);

reset role;
