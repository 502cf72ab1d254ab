set local lock_timeout = '5s';
set local role taskforge_owner;

-- The rows of a group commit, as they travel to its statement.
create type commit_comment as (
    team_id uuid, id uuid, task_id uuid, author_id uuid, body text, mentions uuid[], created_at timestamptz,
    updated_at timestamptz, version bigint);

-- Pages of a task's comments come in the order in which they were written, which ids of several processes do not have.
create index comments_page on comments (team_id, task_id, created_at, id);
drop index comments_task;

reset role;
