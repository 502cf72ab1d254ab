set local lock_timeout = '5s';
set local role taskforge_owner;

-- The UUIDv5 (RFC 9562) of a short name: SHA-1 over one block, of which the server has no function of its own. Gone again
-- below; `core/columns.py` has the same in a line.
create function uuid5_of(namespace uuid, name text) returns uuid language plpgsql immutable strict as $$
declare
    message bytea := uuid_send(namespace) || convert_to(name, 'UTF8');
    size integer := octet_length(message);
    block bytea := message || '\x80' || decode(repeat('00', 55 - size), 'hex') || int8send(size * 8);
    word bigint[];
    a bigint := 1732584193;
    b bigint := 4023233417;
    c bigint := 2562383102;
    d bigint := 271733878;
    e bigint := 3285377520;
    f bigint;
    k bigint;
    moved bigint;
    mask constant bigint := 4294967295;
    digest bytea;
begin
    for i in 0..15 loop
        word[i] := (get_byte(block, i * 4)::bigint << 24) | (get_byte(block, i * 4 + 1) << 16)
            | (get_byte(block, i * 4 + 2) << 8) | get_byte(block, i * 4 + 3);
    end loop;
    for i in 16..79 loop
        moved := word[i - 3] # word[i - 8] # word[i - 14] # word[i - 16];
        word[i] := ((moved << 1) | (moved >> 31)) & mask;
    end loop;
    for i in 0..79 loop
        if i < 20 then
            f := (b & c) | ((b # mask) & d); k := 1518500249;
        elsif i < 40 then
            f := b # c # d; k := 1859775393;
        elsif i < 60 then
            f := (b & c) | (b & d) | (c & d); k := 2400959708;
        else
            f := b # c # d; k := 3395469782;
        end if;
        moved := ((((a << 5) | (a >> 27)) & mask) + f + e + k + word[i]) & mask;
        e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := moved;
    end loop;
    digest := substr(int8send((1732584193 + a) & mask), 5) || substr(int8send((4023233417 + b) & mask), 5)
        || substr(int8send((2562383102 + c) & mask), 5) || substr(int8send((271733878 + d) & mask), 5);
    digest := set_byte(digest, 6, (get_byte(digest, 6) & 15) | 80);
    digest := set_byte(digest, 8, (get_byte(digest, 8) & 63) | 128);
    return encode(digest, 'hex')::uuid;
end
$$;

-- A team's columns. A task's status is the category of its column, which never changes. There is no foreign key from
-- tasks: an archived task may name a column that is gone.
create domain column_name as text check (char_length(value) between 1 and 50);
create domain column_limit as integer check (value between 1 and 10000);
create domain wip_policy as text check (value in ('off', 'warn', 'block'));
create table columns (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null,
    name column_name not null,
    category task_status not null,
    wip_limit column_limit,
    rank task_rank not null,
    closing_into uuid,
    closing_by uuid,
    primary key (team_id, id)
);

-- Every team has had five columns, one for each status, and may have had limits of them. Programs of the release before
-- cannot write from here on, which the contract step tells them. Forced row security hides the rows from their owner, too.
alter table teams no force row level security;
alter table tasks no force row level security;
alter table teams add column wip wip_policy not null default 'warn';
update teams set wip = 'block' where wip_limits::jsonb <> '{}';
insert into columns (team_id, id, name, category, wip_limit, rank)
select t.id, uuid5_of(t.id, c.category), c.name, c.category, (t.wip_limits ->> c.category)::integer, c.rank
from teams t, (values ('open', 'Open', 'a0'), ('in_progress', 'In progress', 'a1'), ('in_review', 'In review', 'a2'),
                      ('done', 'Done', 'a3'), ('cancelled', 'Cancelled', 'a4')) as c (category, name, rank);
alter table teams drop column wip_limits;
alter table tasks add column column_id uuid, add column due_on date;
update tasks t set column_id = c.id from columns c where c.team_id = t.team_id and c.category = t.status;
alter table tasks alter column column_id set not null;
alter table tasks force row level security;
alter table teams force row level security;
drop function uuid5_of;

alter table columns enable row level security;
alter table columns force row level security;
grant select on columns to taskforge_api, taskforge_worker;
grant select, insert, update, delete on columns to taskforge_writer;
create policy member on columns for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy writer on columns to taskforge_writer using (true) with check (true);
create policy worker on columns for select to taskforge_worker using (true);

create type commit_place_2 as (
    team_id uuid, id uuid, updated_at timestamptz, version bigint, status text, rank text, completed_at timestamptz,
    column_id uuid);
create type commit_task_2 as (
    team_id uuid, id uuid, number bigint, title text, status text, priority text, assignee_id uuid, label_ids uuid[],
    due_at timestamptz, estimate double precision, parent_id uuid, blocked_by uuid[], rank text, external_id text,
    external_source text, comment_count integer, attachment_count integer, created_by uuid, created_at timestamptz,
    updated_at timestamptz, completed_at timestamptz, archived_at timestamptz, version bigint, column_id uuid, due_on date,
    description text);
create type commit_settings_3 as (
    id uuid, name text, key text, wip text, time_zone text, created_by uuid, created_at timestamptz,
    updated_at timestamptz, version bigint);
create type commit_column as (
    team_id uuid, id uuid, name text, category text, wip_limit integer, rank text, closing_into uuid, closing_by uuid);

reset role;
