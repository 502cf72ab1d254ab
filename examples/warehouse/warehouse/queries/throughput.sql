-- Tasks completed per week, and how long half of them took at most from the day they were created.
select team, date_trunc('week', completed_at)::date as week, count(*) as completed,
    round(median(epoch(completed_at - created_at)) / 86400, 1) as median_days
from tasks where completed_at is not null
group by all order by week desc, team;
