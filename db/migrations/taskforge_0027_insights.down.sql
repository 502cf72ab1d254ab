set local lock_timeout = '5s';
set local role taskforge_owner;

drop index tasks_completed_at;
drop index tasks_due_on;

reset role;
