set local lock_timeout = '5s';
set local role taskforge_owner;

-- A task that is cancelled passes its series on as one that is done does. Nothing says when it was cancelled, but that it
-- has been changed since.
create index tasks_recur_cancelled on tasks (updated_at)
    where recurrence is not null and recurrence ->> 'next_id' is null and recurrence ->> 'when' = 'done'
      and archived_at is null and status = 'cancelled';

reset role;
