set local lock_timeout = '5s';
set local role taskforge_owner;

drop table external_sign_ins;
drop table external_identities;
-- Who has no address gets one that nobody can have (RFC 2606); the owner's view of the rows is closed meanwhile.
alter table users no force row level security;
update users set email = id || '@external.invalid' where email is null;
alter table users force row level security;
alter table users alter column email set not null;

reset role;
