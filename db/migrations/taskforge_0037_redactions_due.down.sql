set local lock_timeout = '5s';
set local role taskforge_owner;

drop table redactions_due;

reset role;
