set local lock_timeout = '5s';
set local role taskforge_owner;

drop table outbox_sent;

reset role;
