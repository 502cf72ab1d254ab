set local lock_timeout = '5s';

-- The roles stay: they belong to the cluster and other databases may use them.
drop table if exists notifications, inbox, idempotency_keys, comments, relay_cursors, task_events, tasks, labels,
    memberships, teams, refresh_tokens, sessions, users;
revoke usage on schema public from taskforge_api, taskforge_writer, taskforge_worker;
