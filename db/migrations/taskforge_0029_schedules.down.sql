set local lock_timeout = '5s';
set local role taskforge_owner;

drop type commit_task_3;
alter table tasks drop column recurrence;
drop index users_time_zone;
drop table schedule_marks;
drop table schedules;

reset role;
