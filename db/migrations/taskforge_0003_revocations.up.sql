set local lock_timeout = '5s';
set local role taskforge_owner;

create index sessions_revoked_at on sessions (revoked_at) where revoked_at is not null;

-- Every API process must hear of every revoked session, whoever's it is, for as long as access tokens of it may live.
-- Only a transaction that says so sees these rows; requests never do.
create policy revocations on sessions for select to taskforge_api
    using (revoked_at > now() - interval '1 day' and current_setting('app.watch', true) = 'revocations');

reset role;
