set local lock_timeout = '5s';
set local role taskforge_owner;

drop trigger redacted on task_events;
drop function task_events_redacted();
do $$
declare
    name text;
begin
    foreach name in array array['task_events', 'users', 'sessions', 'refresh_tokens', 'live_tickets', 'team_places',
                                'account_tokens', 'api_keys', 'memberships', 'former_members', 'invitations',
                                'notifications', 'idempotency_keys', 'teams'] loop
        execute format('drop policy redactor on %I', name);
        execute format('revoke all on %I from taskforge_redactor', name);
    end loop;
end $$;
alter table users drop column erased_at;

reset role;

-- The role stays, as all do.
revoke usage on schema public from taskforge_redactor;
