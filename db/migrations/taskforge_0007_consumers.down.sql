set local lock_timeout = '5s';
set local role taskforge_owner;

drop table projections;

-- In the old schema every row means applied: what was only claimed goes, and is applied when it is delivered again.
-- Forced row security hides the rows from their owner, too.
alter table inbox no force row level security;
delete from inbox where claimed_until is not null;
alter table inbox force row level security, drop column claimed_until;
revoke update on inbox from taskforge_worker;

reset role;
