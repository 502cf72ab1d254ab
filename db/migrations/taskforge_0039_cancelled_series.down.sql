set local lock_timeout = '5s';
set local role taskforge_owner;

drop index tasks_recur_cancelled;

reset role;
