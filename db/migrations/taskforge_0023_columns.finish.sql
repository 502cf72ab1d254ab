set local lock_timeout = '5s';
set local role taskforge_owner;

-- A program of the release before writes tasks without a column and limits by status, and reads no event about a column.
update installation set format = 2;

reset role;
