set local lock_timeout = '5s';
set local role taskforge_owner;

revoke select (previous_secret) on webhook_subscriptions from taskforge_api;
alter table webhook_subscriptions
    drop constraint webhook_subscriptions_older, drop column older_secrets, drop column older_until;

reset role;
