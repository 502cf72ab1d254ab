set local lock_timeout = '5s';
set local role taskforge_owner;

drop trigger event_id on inbox;
drop trigger event_id on notifications;
drop function event_id_with_epoch();

reset role;
