set local lock_timeout = '5s';
set local role taskforge_owner;

drop table notification_mails;
drop table notification_preferences;
drop index tasks_due_on_anywhere;
drop index tasks_due_at_anywhere;
drop index notifications_actor;
drop index notifications_mail;
revoke update (mail_id) on notifications from taskforge_worker;
revoke select (actor_id, actor_name), update (actor_name) on notifications from taskforge_redactor;
alter table notifications drop column in_app, drop column mail_id, drop column actor_name;
alter table users drop column digest_hour;

reset role;
