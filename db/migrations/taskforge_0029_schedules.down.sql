set local lock_timeout = '5s';
set local role taskforge_owner;

drop index users_time_zone;
drop table schedule_marks;
drop table schedules;

reset role;
