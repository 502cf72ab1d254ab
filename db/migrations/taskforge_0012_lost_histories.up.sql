set local lock_timeout = '5s';
set local role taskforge_owner;

-- What is known outside of the history that a team has lost: the highest epoch in it, above which the new one must be,
-- and the first seq at which it had another event than the one that stands. Null: nothing of what stands is in doubt.
alter table epochs_due
    add above_epoch integer not null default 0,
    add from_seq bigint constraint epochs_due_from_seq_check check (from_seq >= 1);

-- A row of a team that is due already learns more; what is noticed twice stays one new epoch.
grant update (above_epoch, from_seq) on epochs_due to taskforge_writer;

reset role;
