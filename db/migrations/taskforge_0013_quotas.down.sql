set local lock_timeout = '5s';
set local role taskforge_owner;

drop table team_places;
drop policy by_network on live_tickets;
drop function app_network();
alter table live_tickets drop column network;

reset role;
