set local lock_timeout = '5s';
set local role taskforge_owner;

-- Where a team is, as IANA names it: its calendar dates are judged there. A program of the release before makes teams in
-- UTC, and leaves the zones of others as they are.
create domain zone_name as text check (char_length(value) between 1 and 64);
alter table teams add column time_zone zone_name not null default 'UTC';
create type commit_settings_2 as (
    id uuid, name text, key text, wip_limits json, time_zone text, created_by uuid, created_at timestamptz,
    updated_at timestamptz, version bigint);

reset role;
