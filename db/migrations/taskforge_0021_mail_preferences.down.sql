set local lock_timeout = '5s';
set local role taskforge_owner;

alter table users drop column mail_assignments, drop column mail_mentions, drop column mail_digest;

reset role;
