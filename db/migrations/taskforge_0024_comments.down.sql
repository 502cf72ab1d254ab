set local lock_timeout = '5s';
set local role taskforge_owner;

create index comments_task on comments (team_id, task_id, id);
drop index comments_page;
drop type commit_comment;

reset role;
