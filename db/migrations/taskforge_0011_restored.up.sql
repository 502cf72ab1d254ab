set local lock_timeout = '5s';
set local role taskforge_owner;

-- After a restore: the teams whose epoch has not been raised yet. They are written by nobody before that.
create table epochs_due (
    team_id uuid not null primary key references teams (id) on delete cascade
);
alter table epochs_due enable row level security;
alter table epochs_due force row level security;
grant select, insert, delete on epochs_due to taskforge_writer;
create policy writer on epochs_due to taskforge_writer using (true) with check (true);

-- The committer's role notices that the database is on another history, and notes on which one it is now.
grant update (system_identifier, timeline, database_oid, journal_oid) on installation to taskforge_writer;
create policy writer on installation for update to taskforge_writer using (true) with check (true);

-- Which history this is. Null is what the role may not read.
create function current_history(out system_identifier bigint, out timeline integer, out database_oid bigint,
    out journal_oid bigint) language plpgsql stable as $$
begin
    if has_function_privilege('pg_control_system()', 'execute') then
        system_identifier := (select s.system_identifier from pg_control_system() s);
    end if;
    if has_function_privilege('pg_control_checkpoint()', 'execute') then
        timeline := (select c.timeline_id from pg_control_checkpoint() c);
    end if;
    database_oid := (select oid from pg_database where datname = current_database());
    journal_oid := 'task_events'::regclass::oid;
end $$;
revoke execute on function current_history() from public;
grant execute on function current_history() to taskforge_writer;

reset role;
