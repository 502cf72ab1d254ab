set local lock_timeout = '5s';
set local role taskforge_owner;

revoke update (above_epoch, from_seq) on epochs_due from taskforge_writer;
alter table epochs_due drop column above_epoch, drop column from_seq;

reset role;
