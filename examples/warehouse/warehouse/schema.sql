-- What the copy is. `thing` and `data` are JSON as TaskForge wrote it.
create table if not exists teams (team varchar, epoch integer, seq bigint, begun_seq bigint, begun_chain varchar);
create table if not exists things (team varchar, kind varchar, id varchar, task_id varchar, thing varchar);
create table if not exists events (
    team varchar, epoch integer, seq bigint, type varchar, time timestamptz, actor varchar, subject varchar,
    status varchar, column_id varchar, assignee_id varchar, about varchar[], salt varchar, digest varchar, data varchar
);
-- What it must add up to, and how far the topic is read. `epochs` says which events have not happened after all.
create table if not exists checkpoints (team varchar, epoch integer, seq bigint, body varchar);
create table if not exists epochs (team varchar, epoch integer, from_seq bigint);
create table if not exists positions (partition integer, next bigint);
create table if not exists lives (incarnation varchar);

-- What questions are asked of.
create or replace view tasks as
select team, id, thing->>'$.key' as key, thing->>'$.title' as title, thing->>'$.status' as status,
    thing->>'$.column_id' as column_id, thing->>'$.priority' as priority, thing->>'$.assignee_id' as assignee_id,
    (thing->>'$.estimate')::double as estimate, (thing->>'$.due_on')::date as due_on,
    (thing->>'$.due_at')::timestamptz as due_at, (thing->>'$.created_at')::timestamptz as created_at,
    (thing->>'$.completed_at')::timestamptz as completed_at, (thing->>'$.archived_at')::timestamptz as archived_at
from things where kind = 'task';
create or replace view members as
select team, id as user_id, thing->>'$.name' as name, thing->>'$.role' as role from things where kind = 'member';
create or replace view columns as
select team, id, thing->>'$.name' as name, thing->>'$.category' as category from things where kind = 'column';
create or replace view comments as
select team, id, task_id, thing->>'$.author_id' as author_id, (thing->>'$.created_at')::timestamptz as created_at
from things where kind = 'comment';
