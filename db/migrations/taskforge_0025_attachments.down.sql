set local lock_timeout = '5s';
set local role taskforge_owner;

drop table attachments;
drop type commit_attachment;
drop function attachment_added();
drop function attachment_gone();
drop policy writer on objects;
drop policy send on objects;
drop policy complete on objects;
revoke insert, update (key, media_type, size, sha256, expires_at) on objects from taskforge_api;
revoke select (id, team_id, task_id, kind, key, expires_at), update (expires_at) on objects from taskforge_writer;
alter table objects
    drop column task_id,
    drop column claimed_size,
    drop column claimed_sha256,
    drop column thumbnail_key,
    drop column thumbnail_size;

reset role;
