set local lock_timeout = '5s';
set local role taskforge_owner;

drop table replayed_dead_letters;
drop table dead_letter_replays;

reset role;
