set local lock_timeout = '5s';
set local role taskforge_owner;

create or replace function membership_joined() returns trigger language plpgsql as $$
begin
    delete from former_members where team_id = new.team_id and user_id = new.user_id;
    update invitation_acceptances set joined_at = now()
    where team_id = new.team_id and user_id = new.user_id and joined_at is null;
    return null;
end
$$;

drop policy erased on users;
revoke select (id, erased_at) on users from taskforge_writer;

reset role;
