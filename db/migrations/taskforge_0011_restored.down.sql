set local lock_timeout = '5s';
set local role taskforge_owner;

drop function current_history();
drop policy writer on installation;
revoke update (system_identifier, timeline, database_oid, journal_oid) on installation from taskforge_writer;
drop table epochs_due;

reset role;
