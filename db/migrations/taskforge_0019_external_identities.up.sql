set local lock_timeout = '5s';
set local role taskforge_owner;

-- Who comes by another issuer may have no address that anybody has verified; then there is none.
alter table users alter column email drop not null;

-- Who somebody is at another issuer. `identity_hash` is SHA-256 over issuer and subject: whoever presents an identity sees
-- its row and no other, and no two rows are the same one.
create table external_identities (
    id uuid not null primary key,
    user_id uuid not null references users (id) on delete cascade,
    identity_hash bytea not null constraint external_identities_hash_key unique check (octet_length(identity_hash) = 32),
    issuer text not null check (char_length(issuer) between 1 and 300),
    subject text not null check (char_length(subject) between 1 and 255),
    created_at timestamptz not null
);
create index external_identities_user on external_identities (user_id, id);

alter table external_identities enable row level security;
alter table external_identities force row level security;

grant select, insert, delete on external_identities to taskforge_api;
create policy own on external_identities to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on external_identities for select to taskforge_api
    using (identity_hash = (select app_token_hash()));

-- Somebody came back from an issuer and may fetch their tokens, once, within a minute, with the code that their browser
-- was given. `state_hash` is of the state that the sign-in began with: it comes back once, too.
create table external_sign_ins (
    state_hash bytea not null primary key check (octet_length(state_hash) = 32),
    code_hash bytea not null constraint external_sign_ins_code_key unique check (octet_length(code_hash) = 32),
    user_id uuid not null references users (id) on delete cascade,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index external_sign_ins_user on external_sign_ins (user_id);
create index external_sign_ins_expires_at on external_sign_ins (expires_at);

alter table external_sign_ins enable row level security;
alter table external_sign_ins force row level security;

grant select, insert, update (used_at) on external_sign_ins to taskforge_api;
create policy own on external_sign_ins to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
create policy by_hash on external_sign_ins for select to taskforge_api using (code_hash = (select app_token_hash()));
-- Its state is good for ten minutes: until then it must be known that it came back.
grant select (state_hash, expires_at), delete on external_sign_ins to taskforge_worker;
create policy worker on external_sign_ins to taskforge_worker using (expires_at < now() - interval '15 minutes');

-- Erasing an account forgets who they are elsewhere.
grant select (user_id), delete on external_identities, external_sign_ins to taskforge_redactor;
create policy redactor on external_identities to taskforge_redactor using (true);
create policy redactor on external_sign_ins to taskforge_redactor using (true);

reset role;
