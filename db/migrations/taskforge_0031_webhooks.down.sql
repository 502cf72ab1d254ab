set local lock_timeout = '5s';
set local role taskforge_owner;

drop table webhook_attempts;
drop table webhook_deliveries;
drop table webhook_subscriptions;

reset role;
