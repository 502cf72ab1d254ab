-- How long tasks stand in each column before they leave it, of all that the events since the copy's beginning tell.
with stays as (
    select team, subject, status, column_id, time,
        column_id is distinct from lag(column_id) over tasks as entered
    from events where column_id is not null
    window tasks as (partition by team, subject order by seq)
), entries as (
    select *, lead(time) over (partition by team, subject order by time) as left_at from stays where entered
)
select e.team, coalesce(c.name, e.status) as "column", count(*) as tasks_left,
    round(median(epoch(e.left_at - e.time)) / 3600, 1) as median_hours,
    round(quantile_cont(epoch(e.left_at - e.time), 0.9) / 3600, 1) as p90_hours
from entries e left join columns c on c.team = e.team and c.id = e.column_id
where e.left_at is not null
group by all order by e.team, median_hours desc;
