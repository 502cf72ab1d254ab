set local lock_timeout = '5s';
set local role taskforge_owner;

drop policy redactor_clears on webhook_deliveries;
drop policy redactor on webhook_subscriptions;
drop policy redactor on objects;
drop policy redactor on search_documents;
drop policy redactor on columns;
drop policy redactor on labels;
drop policy redactor on attachments;
drop policy redactor on comments;
drop policy redactor on tasks;

-- What 0018, 0028, 0030 and 0031 have granted of these tables stays, column by column.
revoke select, update (name, key, deleted_at, deleted_by, forgetting_at, forgotten_at) on teams from taskforge_redactor;
revoke select, delete on tasks, comments, attachments, labels, columns, search_documents, webhook_subscriptions,
    webhook_deliveries from taskforge_redactor;
revoke select, delete on former_members from taskforge_redactor;
revoke select on invitations, live_tickets, idempotency_keys, notifications, notification_mails, team_seen, team_places
    from taskforge_redactor;
revoke select (team_id), update (disabled_reason, disabled_at) on webhook_subscriptions from taskforge_redactor;
revoke select (id, kind, expires_at), update (expires_at) on objects from taskforge_redactor;
revoke select (team_id) on api_keys from taskforge_redactor;
grant select (id, seq) on teams to taskforge_redactor;
grant select (team_id, user_id) on former_members to taskforge_redactor;
grant select (team_id, id, email) on invitations to taskforge_redactor;
grant select (user_id) on live_tickets, team_places, team_seen, notification_mails to taskforge_redactor;
grant select (principal, key, team_id, status, body) on idempotency_keys to taskforge_redactor;
grant select (user_id, team_id, task_id, data, actor_id, actor_name) on notifications to taskforge_redactor;
grant select (team_id, id, task_id) on webhook_deliveries to taskforge_redactor;

alter table teams
    drop constraint teams_deleted,
    drop column forgotten_at,
    drop column forgetting_at,
    drop column deleted_by,
    drop column deleted_at;

reset role;
