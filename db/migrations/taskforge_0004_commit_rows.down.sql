set local lock_timeout = '5s';

drop type commit_team, commit_event, commit_text, commit_place, commit_task, commit_key;

alter table task_events
    alter seq type bigint,
    alter type type text,
    alter payload type json using payload::json,
    add constraint task_events_seq_check check (seq > 0),
    add constraint task_events_type_check check (type <> '');

alter table tasks
    alter number type bigint,
    alter title type text collate "C",
    alter description type text collate "C",
    alter status type text,
    alter priority type text,
    alter label_ids type uuid[],
    alter estimate type double precision,
    alter blocked_by type uuid[],
    alter rank type text collate "C",
    alter external_id type text,
    alter external_source type text,
    alter comment_count type integer,
    alter attachment_count type integer,
    alter version type bigint,
    add constraint tasks_number_check check (number > 0),
    add constraint tasks_title_check check (char_length(title) between 1 and 500),
    add constraint tasks_description_check check (octet_length(description) <= 65536),
    add constraint tasks_status_check check (status in ('open', 'in_progress', 'in_review', 'done', 'cancelled')),
    add constraint tasks_priority_check check (priority in ('urgent', 'high', 'medium', 'low', 'none')),
    add constraint tasks_label_ids_check check (cardinality(label_ids) <= 50),
    add constraint tasks_estimate_check check (estimate between 0 and 10000),
    add constraint tasks_blocked_by_check check (cardinality(blocked_by) <= 50),
    add constraint tasks_rank_check check (rank <> ''),
    add constraint tasks_external_id_check check (char_length(external_id) between 1 and 200),
    add constraint tasks_external_source_check check (char_length(external_source) between 1 and 200),
    add constraint tasks_comment_count_check check (comment_count >= 0),
    add constraint tasks_attachment_count_check check (attachment_count >= 0),
    add constraint tasks_version_check check (version > 0);

alter table teams
    alter seq type bigint,
    alter epoch type integer,
    alter name type text,
    alter key type text,
    alter wip_limits type json,
    alter top_number type bigint,
    alter version type bigint,
    add constraint teams_seq_check check (seq >= 0),
    add constraint teams_epoch_check check (epoch >= 1),
    add constraint teams_name_check check (char_length(name) between 1 and 100),
    add constraint teams_key_check check (key ~ '^[A-Z][A-Z0-9]{1,9}$'),
    add constraint teams_wip_limits_check check (json_typeof(wip_limits) = 'object'),
    add constraint teams_top_number_check check (top_number >= 0),
    add constraint teams_version_check check (version >= 0);

drop domain counted, numbered, few, team_epoch, team_name, team_key, team_limits, task_title, task_description,
    task_status, task_priority, task_ids, task_estimate, task_rank, task_external, event_type;
