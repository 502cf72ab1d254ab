set local lock_timeout = '5s';
set local role taskforge_owner;

drop policy own on invitations;
drop policy own on former_members;
drop table objects;
drop table operations;

reset role;
