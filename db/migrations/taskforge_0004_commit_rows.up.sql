set local lock_timeout = '5s';
set local role taskforge_owner;

-- A CHECK constraint of a table is parsed, planned and prepared again by every statement that writes to the table, and
-- looks at every row, whatever was changed. That was a sixth of what a group commit costs. A domain is prepared once per
-- session and looks only at the values that a statement assigns.
create domain counted as bigint check (value >= 0);
create domain numbered as bigint check (value > 0);
create domain few as integer check (value >= 0);
create domain team_epoch as integer check (value >= 1);
create domain team_name as text check (char_length(value) between 1 and 100);
create domain team_key as text check (value ~ '^[A-Z][A-Z0-9]{1,9}$');
create domain team_limits as json check (json_typeof(value) = 'object');
create domain task_title as text collate "C" check (char_length(value) between 1 and 500);
create domain task_description as text collate "C" check (octet_length(value) <= 65536);
create domain task_status as text check (value in ('open', 'in_progress', 'in_review', 'done', 'cancelled'));
create domain task_priority as text check (value in ('urgent', 'high', 'medium', 'low', 'none'));
create domain task_ids as uuid[] check (cardinality(value) <= 50);
create domain task_estimate as double precision check (value between 0 and 10000);
create domain task_rank as text collate "C" check (value <> '');
create domain task_external as text check (char_length(value) between 1 and 200);
create domain event_type as text check (value <> '');

alter table teams
    drop constraint teams_seq_check,
    drop constraint teams_epoch_check,
    drop constraint teams_name_check,
    drop constraint teams_key_check,
    drop constraint teams_wip_limits_check,
    drop constraint teams_top_number_check,
    drop constraint teams_version_check,
    alter seq type counted,
    alter epoch type team_epoch,
    alter name type team_name,
    alter key type team_key,
    alter wip_limits type team_limits,
    alter top_number type counted,
    alter version type counted;

alter table tasks
    drop constraint tasks_number_check,
    drop constraint tasks_title_check,
    drop constraint tasks_description_check,
    drop constraint tasks_status_check,
    drop constraint tasks_priority_check,
    drop constraint tasks_label_ids_check,
    drop constraint tasks_estimate_check,
    drop constraint tasks_blocked_by_check,
    drop constraint tasks_rank_check,
    drop constraint tasks_external_id_check,
    drop constraint tasks_external_source_check,
    drop constraint tasks_comment_count_check,
    drop constraint tasks_attachment_count_check,
    drop constraint tasks_version_check,
    alter number type numbered,
    alter title type task_title,
    alter description type task_description,
    alter status type task_status,
    alter priority type task_priority,
    alter label_ids type task_ids,
    alter estimate type task_estimate,
    alter blocked_by type task_ids,
    alter rank type task_rank,
    alter external_id type task_external,
    alter external_source type task_external,
    alter comment_count type few,
    alter attachment_count type few,
    alter version type numbered;

-- The payload is JSON that we have just encoded: to have it parsed again cost an eighth of a group commit. As text it is
-- kept to the byte; whoever looks for something in it casts it.
alter table task_events
    drop constraint task_events_seq_check,
    drop constraint task_events_type_check,
    alter seq type numbered,
    alter type type event_type,
    alter payload type text;

-- The rows of a group commit, as they travel to its statement.
create type commit_team as (id uuid, expected bigint, added bigint, top bigint);
create type commit_event as (
    team_id uuid, seq bigint, type text, subject_id uuid, actor_id uuid, at timestamptz, traceparent text, payload bytea);
create type commit_text as (
    team_id uuid, id uuid, updated_at timestamptz, version bigint, title text, description text);
create type commit_place as (
    team_id uuid, id uuid, updated_at timestamptz, version bigint, status text, rank text, completed_at timestamptz);
create type commit_task as (
    team_id uuid, id uuid, number bigint, title text, status text, priority text, assignee_id uuid, label_ids uuid[],
    due_at timestamptz, estimate double precision, parent_id uuid, blocked_by uuid[], rank text, external_id text,
    external_source text, comment_count integer, attachment_count integer, created_by uuid, created_at timestamptz,
    updated_at timestamptz, completed_at timestamptz, archived_at timestamptz, version bigint, description text);
create type commit_key as (
    principal uuid, key text, team_id uuid, fingerprint bytea, status smallint, headers json, body bytea, seq bigint);

reset role;
