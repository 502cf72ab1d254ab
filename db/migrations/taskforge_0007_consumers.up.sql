set local lock_timeout = '5s';
set local role taskforge_owner;

-- An effect outside the database (a mail, a webhook, a file) cannot be part of a transaction: its row comes first and
-- says until when somebody is at it. Null means applied, as for every row before.
alter table inbox add column claimed_until timestamptz;
grant update on inbox to taskforge_worker;

-- How far each ordered projection is with each team, written in the transaction of what it has written.
create table projections (
    name text not null check (name <> ''),
    team_id uuid not null references teams (id) on delete cascade,
    seq bigint not null default 0 check (seq >= 0),
    epoch integer not null default 1 check (epoch >= 1),
    primary key (name, team_id)
) with (fillfactor = 80);
create index projections_team on projections (team_id);

alter table projections enable row level security;
alter table projections force row level security;
grant select, insert, update on projections to taskforge_worker;
create policy worker on projections to taskforge_worker using (true) with check (true);

reset role;
