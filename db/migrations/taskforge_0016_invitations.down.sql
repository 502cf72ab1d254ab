set local lock_timeout = '5s';
set local role taskforge_owner;

drop trigger joined on memberships;
drop trigger ended on memberships;
drop function membership_joined();
drop function membership_ended();
drop table former_members;
drop table invitation_acceptances;
drop table invitations;

reset role;
