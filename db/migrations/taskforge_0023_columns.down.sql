set local lock_timeout = '5s';
set local role taskforge_owner;

-- What columns there are beside the five of every team is lost, and so are dates.
update installation set format = 1;
drop type commit_column;
drop type commit_settings_3;
drop type commit_task_2;
drop type commit_place_2;
alter table tasks drop column column_id, drop column due_on;
alter table teams drop column wip;
drop table columns;
drop domain wip_policy;
drop domain column_limit;
drop domain column_name;

reset role;
