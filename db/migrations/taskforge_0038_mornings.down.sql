set local lock_timeout = '5s';
set local role taskforge_owner;

drop index users_morning;
drop table moved_mornings;

reset role;
