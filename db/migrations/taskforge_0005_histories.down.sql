set local lock_timeout = '5s';

drop table installation;
drop type commit_team_2, commit_event_2, commit_settings, commit_member, commit_label;

-- What belongs to a later epoch has no older form: its id stays as it is.
alter table inbox
    alter event_id type text using regexp_replace(event_id, '^([0-9a-f-]{36}):1:([0-9]+)$', '\1:\2');
alter table notifications
    alter event_id type text using regexp_replace(event_id, '^([0-9a-f-]{36}):1:([0-9]+)$', '\1:\2');

drop table team_epochs;
drop trigger digest on task_events;
drop function task_events_digest();
alter table task_events drop salt, drop digest, drop actor_kind, drop via, drop schema_version;
drop domain row_salt, row_digest, actor_kind, schema_version;
