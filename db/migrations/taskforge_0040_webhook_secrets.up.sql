set local lock_timeout = '5s';
set local role taskforge_owner;

-- The secrets before `previous_secret` that still sign, sealed like it, and until when each does.
alter table webhook_subscriptions
    add column older_secrets bytea[] not null default '{}',
    add column older_until timestamptz[] not null default '{}',
    add constraint webhook_subscriptions_older check (
        cardinality(older_secrets) = cardinality(older_until) and cardinality(older_secrets) <= 4
    );
-- A secret that is replaced moves on to them.
grant select (previous_secret, older_secrets, older_until), update (older_secrets, older_until)
    on webhook_subscriptions to taskforge_api;

reset role;
