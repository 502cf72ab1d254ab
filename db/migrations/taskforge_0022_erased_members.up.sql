set local lock_timeout = '5s';
set local role taskforge_owner;

-- Whoever makes members may see of users which of them were erased, and nothing else.
grant select (id, erased_at) on users to taskforge_writer;
create policy erased on users for select to taskforge_writer using (erased_at is not null);

-- Triggers of a row run in the order of their names, so that this one runs after that of the foreign key, which has locked
-- the user. An account is closed under a lock that waits for it (`db/redaction/users.py`): either the membership was there
-- before and is seen, or it comes here when the account is closed.
create or replace function membership_joined() returns trigger language plpgsql as $$
begin
    if exists (select from users where id = new.user_id and erased_at is not null) then
        raise exception 'this account was erased' using errcode = 'check_violation', constraint = 'memberships_erased';
    end if;
    delete from former_members where team_id = new.team_id and user_id = new.user_id;
    update invitation_acceptances set joined_at = now()
    where team_id = new.team_id and user_id = new.user_id and joined_at is null;
    return null;
end
$$;

reset role;
