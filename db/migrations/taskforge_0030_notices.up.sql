set local lock_timeout = '5s';
set local role taskforge_owner;

-- What a user has chosen: a row for each kind and channel that they have switched, by the names in `core/notices.py`.
-- Three switches are older than this table and stay where they are: `users.mail_digest` and the two beside it.
create table notification_preferences (
    user_id uuid not null references users (id) on delete cascade,
    kind text not null check (kind <> ''),
    channel text not null check (channel in ('in_app', 'mail')),
    wanted boolean not null,
    primary key (user_id, kind, channel)
);
-- At which hour of their own day a user gets what comes once a day.
alter table users add column digest_hour smallint not null default 7 check (digest_hour between 0 and 23);

-- A mail that collects: what else happens to the same subject (a task) before it leaves becomes a part of it. The row
-- goes in the transaction that writes the mail's job to the outbox; its parts keep its id.
create table notification_mails (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null,
    user_id uuid not null references users (id) on delete cascade,
    subject_id uuid not null,
    first_at timestamptz not null,
    leaves_at timestamptz not null,
    primary key (team_id, id),
    constraint notification_mails_subject unique (user_id, team_id, subject_id)
);
create index notification_mails_leaving on notification_mails (leaves_at);

-- `in_app`: whether it is in the inbox; one that is only mailed is not. `actor_name`: what whoever did it was called.
alter table notifications
    add column in_app boolean not null default true,
    add column mail_id uuid,
    add column actor_name text not null default '';
create index notifications_mail on notifications (mail_id) where mail_id is not null;
create index notifications_actor on notifications (actor_id) where actor_name <> '';

-- What is due at some time, in whichever team, as the schedule looks for it. Few updates change a due date.
create index tasks_due_at_anywhere on tasks (due_at) where due_at is not null;
create index tasks_due_on_anywhere on tasks (due_on) where due_on is not null;

alter table notification_preferences enable row level security;
alter table notification_preferences force row level security;
alter table notification_mails enable row level security;
alter table notification_mails force row level security;

grant select, insert, update (wanted) on notification_preferences to taskforge_api;
create policy own on notification_preferences to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
grant select on notification_preferences to taskforge_worker;
create policy worker on notification_preferences for select to taskforge_worker using (true);
grant select (user_id), delete on notification_preferences to taskforge_redactor;
create policy redactor on notification_preferences to taskforge_redactor using (true);
grant update (digest_hour) on users to taskforge_api;
grant select (digest_hour) on users to taskforge_worker;
grant select (digest_hour), update (digest_hour) on users to taskforge_redactor;

grant select, insert, update (leaves_at), delete on notification_mails to taskforge_worker;
create policy worker on notification_mails to taskforge_worker using (true) with check (true);
grant select (user_id), delete on notification_mails to taskforge_redactor;
create policy redactor on notification_mails to taskforge_redactor using (true);

grant update (mail_id) on notifications to taskforge_worker;
grant select (actor_id, actor_name), update (actor_name) on notifications to taskforge_redactor;

reset role;
