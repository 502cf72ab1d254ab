set local lock_timeout = '5s';
set local role taskforge_owner;

drop type commit_settings_2;
alter table teams drop column time_zone;
drop domain zone_name;

reset role;
