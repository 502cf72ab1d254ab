set local lock_timeout = '5s';
set local role taskforge_owner;

-- When the team was deleted, and on whose account; when what was written in it began to be forgotten for good, and when
-- it was. The row stays, and its history with it.
alter table teams
    add column deleted_at timestamptz,
    add column deleted_by uuid,
    add column forgetting_at timestamptz,
    add column forgotten_at timestamptz;
alter table teams add constraint teams_deleted check (
    (deleted_at is null) = (deleted_by is null)
    and (forgetting_at is null or deleted_at is not null)
    and (forgotten_at is null or forgetting_at is not null)
) not valid;
create index teams_deleted on teams (deleted_at) where deleted_at is not null;

-- The redactor clears away what there was in a team. What is cleared at once and what after 30 days, `db/offboarding.py`
-- says of every table.
grant select, update (name, key, deleted_at, deleted_by, forgetting_at, forgotten_at) on teams to taskforge_redactor;
grant select, delete on tasks, comments, attachments, labels, columns, search_documents, former_members, invitations,
    live_tickets, idempotency_keys, notifications, notification_mails, team_seen, webhook_subscriptions,
    webhook_deliveries, team_places to taskforge_redactor;
grant select (team_id), update (disabled_reason, disabled_at) on webhook_subscriptions to taskforge_redactor;
grant select (team_id) on api_keys to taskforge_redactor;
-- An attachment that goes has its object expire (0025).
grant select (id, kind, expires_at), update (expires_at) on objects to taskforge_redactor;
create policy redactor on objects to taskforge_redactor using (kind = 'attachment') with check (kind = 'attachment');
create policy redactor on tasks to taskforge_redactor using (true);
create policy redactor on comments to taskforge_redactor using (true);
create policy redactor on attachments to taskforge_redactor using (true);
create policy redactor on labels to taskforge_redactor using (true);
create policy redactor on columns to taskforge_redactor using (true);
create policy redactor on search_documents to taskforge_redactor using (true);
create policy redactor on webhook_subscriptions to taskforge_redactor using (true) with check (true);
create policy redactor_clears on webhook_deliveries for delete to taskforge_redactor using (true);

reset role;
