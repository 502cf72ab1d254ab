set local lock_timeout = '5s';
set local role taskforge_owner;

-- A report is an object of its team's under the same id, and goes with it. `seq` is how far the team's journal was when
-- it was read: what the journal forgets afterwards may stand in the report, which is then dropped.
alter table objects add constraint objects_of_team unique (team_id, id);
create table reports (
    team_id uuid not null,
    id uuid not null,
    kind text not null check (kind in ('board', 'overdue', 'activity')),
    since timestamptz not null,
    until timestamptz not null,
    pages integer not null check (pages > 0),
    seq bigint not null check (seq > 0),
    created_by uuid not null,
    created_at timestamptz not null default now(),
    primary key (team_id, id),
    constraint reports_period check (since < until),
    constraint reports_object foreign key (team_id, id) references objects (team_id, id) on delete cascade
);
create index reports_created_by on reports (created_by);

alter table reports enable row level security;
alter table reports force row level security;

-- The worker makes them; members read those of their teams.
grant select on reports to taskforge_api;
create policy member on reports for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
grant select, insert on reports to taskforge_worker;
create policy worker on reports to taskforge_worker using (true) with check (true);

reset role;
