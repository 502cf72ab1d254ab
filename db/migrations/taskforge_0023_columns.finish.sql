set local lock_timeout = '5s';
set local role taskforge_owner;

-- A program of the release before writes tasks without a column, and reads no event about one.
update installation set format = 2;

reset role;
