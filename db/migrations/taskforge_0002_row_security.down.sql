set local lock_timeout = '5s';

do $$
declare
    policy record;
    name text;
begin
    for policy in select policyname, tablename from pg_policies where schemaname = 'public' loop
        execute format('drop policy %I on %I', policy.policyname, policy.tablename);
    end loop;
    foreach name in array array['users', 'sessions', 'refresh_tokens', 'teams', 'memberships', 'labels', 'tasks',
                                'task_events', 'relay_cursors', 'comments', 'idempotency_keys', 'inbox',
                                'notifications'] loop
        execute format('revoke all on %I from taskforge_api, taskforge_writer, taskforge_worker', name);
        execute format('alter table %I no force row level security', name);
        execute format('alter table %I disable row level security', name);
    end loop;
end $$;
drop function app_user(), app_principal(), app_email(), app_token_hash() cascade;
