set local lock_timeout = '5s';
set local role taskforge_owner;

-- Which mails a user wants, of those that can be switched off. What is about the account itself cannot.
alter table users
    add column mail_digest boolean not null default true,
    add column mail_mentions boolean not null default true,
    add column mail_assignments boolean not null default true;
grant update (mail_digest, mail_mentions, mail_assignments) on users to taskforge_api;
grant select (mail_digest, mail_mentions, mail_assignments) on users to taskforge_worker;

reset role;
