set local lock_timeout = '5s';
set local role taskforge_owner;

drop table checkpoint_things;
drop table checkpoints;

reset role;
