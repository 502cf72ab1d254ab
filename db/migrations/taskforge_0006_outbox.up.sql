set local lock_timeout = '5s';
set local role taskforge_owner;

-- What leaves for a topic and is no event of a team. A row commits with its cause, the relay moves it and deletes it after
-- the broker has acknowledged it. `position` is the order in which rows were written, whatever the clocks of the processes
-- that made their ids; rows are deleted and not counted up to, so that one which commits late is not passed over.
-- `discard` marks a row that does the work of any other and reaches no topic: a mail to an address nobody has.
create domain outbox_topic as text
    check (value in ('taskforge.mail.v1', 'taskforge.jobs.v1', 'taskforge.ai-usage.v1'));
create domain outbox_key as text check (char_length(value) between 1 and 255);
create domain outbox_payload as text check (octet_length(value) between 2 and 4096);
create table outbox (
    id uuid not null primary key,
    position bigint not null generated always as identity constraint outbox_position_key unique,
    topic outbox_topic not null,
    key outbox_key not null,
    payload outbox_payload not null,
    discard boolean not null,
    traceparent text not null,
    created_at timestamptz not null
);

alter table outbox enable row level security;
alter table outbox force row level security;

-- The API may add to it, at the time of its own transaction, and see nothing of it. Consumers add to it as well; the
-- relay moves it.
grant insert on outbox to taskforge_api;
grant select, insert, delete on outbox to taskforge_worker;
create policy put on outbox for insert to taskforge_api with check (created_at = now());
create policy worker on outbox to taskforge_worker using (true) with check (true);

-- Housekeeping: sessions that ended more than a day ago, by then nobody asks any more which were revoked, and the refresh
-- tokens of those alone. A token that expired may be a used one of a session that goes on: whoever presents it again is
-- a thief, and is recognised only as long as the row is there.
drop policy worker on sessions;
drop policy worker on refresh_tokens;
grant select (user_id, revoked_at) on sessions to taskforge_worker;
grant select (user_id, session_id) on refresh_tokens to taskforge_worker;
create policy worker on sessions to taskforge_worker
    using (expires_at < now() - interval '1 day' or revoked_at < now() - interval '1 day');
create policy worker on refresh_tokens to taskforge_worker
    using ((user_id, session_id) in (select user_id, id from sessions));

reset role;
