set local lock_timeout = '5s';
set local role taskforge_owner;

-- When a user's morning was until they changed their zone or its hour: a row for each schedule that has not looked at
-- them since. By it the schedule sees which mornings the change has left out; once it has, the row is gone.
create table moved_mornings (
    user_id uuid not null references users (id) on delete cascade,
    schedule text not null check (char_length(schedule) between 1 and 64),
    time_zone text not null check (char_length(time_zone) between 1 and 64),
    digest_hour smallint not null check (digest_hour between 0 and 23),
    moved_at timestamptz not null default now(),
    primary key (user_id, schedule)
);
create index moved_mornings_schedule on moved_mornings (schedule, user_id);

-- Whose morning it is: those in a zone who have it at an hour.
create index users_morning on users (time_zone, digest_hour) where erased_at is null;

alter table moved_mornings enable row level security;
alter table moved_mornings force row level security;

grant select, insert on moved_mornings to taskforge_api;
create policy own on moved_mornings to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
grant select, delete on moved_mornings to taskforge_worker;
create policy worker on moved_mornings to taskforge_worker using (true);
grant select (user_id), delete on moved_mornings to taskforge_redactor;
create policy redactor on moved_mornings to taskforge_redactor using (true);

reset role;
