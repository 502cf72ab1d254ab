set local lock_timeout = '5s';
set local role taskforge_owner;

-- What columns there are beside the five of every team is lost, and so are dates.
update installation set format = 1;
drop type commit_column;
drop type commit_settings_3;
drop type commit_task_2;
drop type commit_place_2;
alter table teams no force row level security;
alter table columns no force row level security;
alter table teams add column wip_limits team_limits not null default '{}';
update teams t set wip_limits = limits.by_category from (
    select team_id, ('{' || string_agg(format('"%s": %s', category, wip_limit), ', ' order by rank) || '}')::json
        as by_category
    from (
        select distinct on (team_id, category) team_id, category, wip_limit, rank from columns
        where wip_limit is not null order by team_id, category, rank
    ) as firsts group by team_id
) as limits where limits.team_id = t.id and t.wip = 'block';
alter table teams force row level security;
alter table tasks drop column column_id, drop column due_on;
alter table teams drop column wip;
drop table columns;
drop domain wip_policy;
drop domain column_limit;
drop domain column_name;

reset role;
