set local lock_timeout = '5s';
set local role taskforge_owner;

drop table reports;
alter table objects drop constraint objects_of_team;

reset role;
