set local lock_timeout = '5s';
set local role taskforge_owner;

-- An invitation is bound to an address (`email`), or to nobody: then it is a link. Its token is stored as a SHA-256 only.
-- Revoking one deletes it, so that its token is as unknown as any other; the worker deletes those that have expired.
create table invitations (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null constraint invitations_id_key unique,
    token_hash bytea not null constraint invitations_token_hash_key unique check (octet_length(token_hash) = 32),
    email text collate pg_unicode_fast check (char_length(email) between 3 and 320),
    role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    invited_by uuid not null references users (id) on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    max_uses integer not null check (max_uses between 1 and 100),
    uses integer not null check (uses between 0 and max_uses),
    primary key (team_id, id),
    constraint invitations_one_address_one_use check (email is null or max_uses = 1)
);
create index invitations_invited_by on invitations (invited_by);
create index invitations_expires_at on invitations (expires_at);

-- Who took one of an invitation's uses. The membership itself is made by the team's writer, in another transaction: until
-- then `joined_at` is null, and the same user may go on with it, whatever ended in between. The membership's own
-- transaction fills it in, so that an invitation brings nobody back who was removed since.
create table invitation_acceptances (
    team_id uuid not null,
    invitation_id uuid not null,
    user_id uuid not null references users (id) on delete cascade,
    accepted_at timestamptz not null,
    joined_at timestamptz,
    primary key (team_id, invitation_id, user_id),
    foreign key (team_id, invitation_id) references invitations (team_id, id) on delete cascade
);
create index invitation_acceptances_user on invitation_acceptances (user_id, team_id);

-- Memberships that ended: history names these people, and the team goes on knowing what they were called.
create table former_members (
    team_id uuid not null references teams (id) on delete cascade,
    user_id uuid not null references users (id) on delete cascade,
    role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    name text not null check (char_length(name) between 1 and 200),
    joined_at timestamptz not null,
    left_at timestamptz not null,
    primary key (team_id, user_id)
);
create index former_members_user on former_members (user_id);

-- In the transaction of the commit, and out of its statement, whose types and plans stay as they are. A team's own end
-- deletes its memberships too, and leaves nothing.
create function membership_joined() returns trigger language plpgsql as $$
begin
    delete from former_members where team_id = new.team_id and user_id = new.user_id;
    update invitation_acceptances set joined_at = now()
    where team_id = new.team_id and user_id = new.user_id and joined_at is null;
    return null;
end
$$;
create function membership_ended() returns trigger language plpgsql as $$
begin
    insert into former_members (team_id, user_id, role, name, joined_at, left_at)
    select old.team_id, old.user_id, old.role, old.name, old.joined_at, now() from teams where id = old.team_id
    on conflict (team_id, user_id) do update set role = excluded.role, name = excluded.name,
        joined_at = excluded.joined_at, left_at = excluded.left_at;
    return null;
end
$$;
revoke execute on function membership_joined(), membership_ended() from public;
create trigger joined after insert on memberships for each row execute function membership_joined();
create trigger ended after delete on memberships for each row execute function membership_ended();

alter table invitations enable row level security;
alter table invitations force row level security;
alter table invitation_acceptances enable row level security;
alter table invitation_acceptances force row level security;
alter table former_members enable row level security;
alter table former_members force row level security;

-- Owners and admins make, see and revoke their team's invitations. Whoever holds a token sees that one, and uses it.
grant select, insert, update (uses), delete on invitations to taskforge_api;
create policy admin_select on invitations for select to taskforge_api
    using (team_id in (select team_id from memberships
                       where user_id = (select app_user()) and role in ('owner', 'admin')));
create policy admin_insert on invitations for insert to taskforge_api
    with check (invited_by = (select app_user()) and uses = 0
                and team_id in (select team_id from memberships
                                where user_id = (select app_user()) and role in ('owner', 'admin')));
create policy admin_delete on invitations for delete to taskforge_api
    using (team_id in (select team_id from memberships
                       where user_id = (select app_user()) and role in ('owner', 'admin')));
create policy by_hash on invitations for select to taskforge_api using (token_hash = (select app_token_hash()));
create policy use on invitations for update to taskforge_api
    using (token_hash = (select app_token_hash())) with check (token_hash = (select app_token_hash()));

grant select, insert, delete on invitation_acceptances to taskforge_api;
create policy own on invitation_acceptances for select to taskforge_api using (user_id = (select app_user()));
create policy own_insert on invitation_acceptances for insert to taskforge_api
    with check (user_id = (select app_user()) and joined_at is null);
create policy own_delete on invitation_acceptances for delete to taskforge_api
    using (user_id = (select app_user()) and joined_at is null);
grant select, update (joined_at) on invitation_acceptances to taskforge_writer;
create policy writer on invitation_acceptances to taskforge_writer using (true) with check (true);

grant select on former_members to taskforge_api, taskforge_worker;
grant select, insert, update, delete on former_members to taskforge_writer;
create policy member on former_members for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy writer on former_members to taskforge_writer using (true) with check (true);
create policy worker on former_members for select to taskforge_worker using (true);

-- The worker sends the mails, and forgets what has expired.
grant select, delete on invitations to taskforge_worker;
create policy worker on invitations for select to taskforge_worker using (true);
create policy worker_forgets on invitations for delete to taskforge_worker using (expires_at < now());

reset role;
