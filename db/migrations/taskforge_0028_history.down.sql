set local lock_timeout = '5s';
set local role taskforge_owner;

drop table team_seen;
drop table board_snapshot_drops;
drop table board_snapshots;

reset role;
