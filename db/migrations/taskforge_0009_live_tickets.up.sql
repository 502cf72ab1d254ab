set local lock_timeout = '5s';
set local role taskforge_owner;

-- Live tickets were in Valkey, whose word lets nobody in. Here a ticket is spent once, whoever asks for it at once.
create table live_tickets (
    ticket_hash bytea not null primary key check (octet_length(ticket_hash) = 32),
    user_id uuid not null,
    session_id uuid not null,
    team_id uuid,
    expires_at timestamptz not null,
    foreign key (user_id, session_id) references sessions (user_id, id) on delete cascade
);
create index live_tickets_session on live_tickets (user_id, session_id);
create index live_tickets_expires_at on live_tickets (expires_at);

alter table live_tickets enable row level security;
alter table live_tickets force row level security;

-- A user hands out tickets of their own; whoever holds one sees and spends that row and no other. The worker forgets
-- those that nobody used.
grant select, insert, delete on live_tickets to taskforge_api;
create policy own on live_tickets to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on live_tickets for select to taskforge_api using (ticket_hash = (select app_token_hash()));
create policy spend on live_tickets for delete to taskforge_api using (ticket_hash = (select app_token_hash()));
grant select (ticket_hash, expires_at), delete on live_tickets to taskforge_worker;
create policy worker on live_tickets to taskforge_worker using (expires_at < now());

reset role;
