-- Who has too much: what is open of each member's, what of it is late, and for how many weeks it lasts at their pace.
with open_tasks as (
    select team, assignee_id, count(*) as open, sum(estimate) as estimate,
        count(*) filter (where due_at < now() or due_on < current_date) as late
    from tasks where archived_at is null and status not in ('done', 'cancelled') and assignee_id is not null group by all
), pace as (
    select team, assignee_id, count(*) / 4 as a_week
    from tasks where completed_at >= now() - interval 4 weeks group by all
)
select o.team, m.name, o.open, o.estimate, o.late, round(o.open / nullif(p.a_week, 0), 1) as weeks
from open_tasks o
left join pace p on p.team = o.team and p.assignee_id = o.assignee_id
left join members m on m.team = o.team and m.user_id = o.assignee_id
order by weeks desc nulls first, o.open desc;
