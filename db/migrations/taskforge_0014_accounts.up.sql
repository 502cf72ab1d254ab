set local lock_timeout = '5s';
set local role taskforge_owner;

-- Where a user is, as IANA names it: digests and reminders come by their clock.
alter table users add column time_zone text not null default 'UTC'
    constraint users_time_zone_length check (char_length(time_zone) between 1 and 64);
grant update (time_zone) on users to taskforge_api;
grant select (time_zone) on users to taskforge_worker;

-- What somebody proves by a token from a mail: that an address is theirs, or that they may choose a new password. `id` is
-- the mail's job, from which the token follows under the keyset; only its hash is here. There is a row for an address
-- that nobody has, too (with a user id that is nobody's), because a request for one does the same work in the same time.
create domain account_token_purpose as text check (value in ('verify-email', 'reset-password'));
create table account_tokens (
    id uuid not null primary key,
    user_id uuid not null,
    purpose account_token_purpose not null,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    email text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index account_tokens_user on account_tokens (user_id, purpose, created_at);
create index account_tokens_expires_at on account_tokens (expires_at);

alter table account_tokens enable row level security;
alter table account_tokens force row level security;

grant select, insert, update (used_at), delete on account_tokens to taskforge_api;
create policy own on account_tokens to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on account_tokens for select to taskforge_api using (token_hash = (select app_token_hash()));

-- The mail consumer reads what a mail says; housekeeping forgets what ended a day ago.
grant select, delete on account_tokens to taskforge_worker;
create policy mail on account_tokens for select to taskforge_worker using (true);
create policy tidy on account_tokens for delete to taskforge_worker using (expires_at < now() - interval '1 day');

-- A mail about a new sign-in names when, with what and from where.
grant select (created_at, user_agent, ip) on sessions to taskforge_worker;
create policy mail on sessions for select to taskforge_worker using (created_at > now() - interval '14 days');
-- Which sessions have ended, housekeeping asked by what it saw of them; now it says so.
drop policy worker on refresh_tokens;
create policy worker on refresh_tokens to taskforge_worker
    using ((user_id, session_id) in (
        select user_id, id from sessions
        where expires_at < now() - interval '1 day' or revoked_at < now() - interval '1 day'
    ));

reset role;
