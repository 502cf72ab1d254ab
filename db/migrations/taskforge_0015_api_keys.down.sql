set local lock_timeout = '5s';
set local role taskforge_owner;

drop table api_keys;

reset role;
