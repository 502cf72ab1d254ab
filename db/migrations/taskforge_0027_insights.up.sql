set local lock_timeout = '5s';
set local role taskforge_owner;

-- What is due on a date, and what was done, as `db/insights` reads them. Neither index stands in the way of updates that
-- stay heap-only: dates change rarely, and a task that becomes done changes its status, which is indexed already.
create index tasks_due_on on tasks (team_id, due_on) where due_on is not null;
create index tasks_completed_at on tasks (team_id, completed_at) where completed_at is not null;

reset role;
