set local lock_timeout = '5s';
set local role taskforge_owner;

-- A key is stored under its SHA-256: it has 256 random bits, so that nothing slower is needed. `prefix` is what its owner
-- recognises it by. There is no foreign key to teams: only members make keys for a team, a team refuses who is none, and
-- a reference would lock rows that every commit of a team writes.
create table api_keys (
    id uuid not null primary key,
    user_id uuid not null references users (id) on delete cascade,
    token_hash bytea not null constraint api_keys_hash_key unique check (octet_length(token_hash) = 32),
    prefix text not null check (char_length(prefix) between 5 and 16),
    name text not null check (char_length(name) between 1 and 100),
    scopes text[] not null
        check (scopes <@ array['read', 'write', 'admin'] and cardinality(scopes) between 1 and 3),
    team_id uuid,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_user on api_keys (user_id, id);
create index api_keys_expires_at on api_keys (expires_at) where expires_at is not null;
create index api_keys_revoked_at on api_keys (revoked_at) where revoked_at is not null;

alter table api_keys enable row level security;
alter table api_keys force row level security;

-- A user makes, uses and revokes their own keys; a key never changes otherwise. Whoever holds one sees that row and no
-- other. Every API process must hear of every key that was revoked lately, as of sessions.
grant select, insert, update (last_used_at, revoked_at) on api_keys to taskforge_api;
create policy own on api_keys to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on api_keys for select to taskforge_api using (token_hash = (select app_token_hash()));
create policy revocations on api_keys for select to taskforge_api
    using (revoked_at > now() - interval '1 day' and current_setting('app.watch', true) = 'revocations');

-- Housekeeping: keys that ended more than a day ago; by then nobody asks any more which were revoked.
grant select (id, expires_at, revoked_at), delete on api_keys to taskforge_worker;
create policy worker on api_keys to taskforge_worker
    using (expires_at < now() - interval '1 day' or revoked_at < now() - interval '1 day');

reset role;
