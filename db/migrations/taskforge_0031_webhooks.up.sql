set local lock_timeout = '5s';
set local role taskforge_owner;

-- Who is sent what. Empty lists ask for everything. `secret` and `previous_secret` are sealed under the keyset; the latter
-- signs, too, until `previous_until`. Events up to `start_seq` are none of its business; `last_seq` is the newest that
-- matched it. `due_at` is when there may be something to send: whoever claims deliveries locks this row first, so that one
-- endpoint's deliveries are counted and claimed by one process at a time, and moves it on.
create table webhook_subscriptions (
    team_id uuid not null references teams (id) on delete cascade,
    id uuid not null constraint webhook_subscriptions_id_key unique,
    url text not null check (char_length(url) between 1 and 2048),
    description text not null check (char_length(description) <= 500),
    event_types text[] not null check (cardinality(event_types) <= 100),
    statuses text[] not null check (cardinality(statuses) <= 10),
    label_ids uuid[] not null check (cardinality(label_ids) <= 100),
    assignee_ids uuid[] not null check (cardinality(assignee_ids) <= 100),
    format text not null check (format in ('cloudevents', 'slack')),
    in_order boolean not null,
    secret bytea not null,
    previous_secret bytea,
    previous_until timestamptz,
    created_by uuid not null references users (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    start_seq bigint not null check (start_seq >= 0),
    last_seq bigint not null default 0 check (last_seq >= 0),
    disabled_reason text check (disabled_reason in ('gone', 'failing', 'by_hand')),
    disabled_at timestamptz,
    failing_since timestamptz,
    noticed_at timestamptz,
    throttle smallint not null default 0 check (throttle >= 0),
    paused_until timestamptz not null default '-infinity',
    due_at timestamptz not null default 'infinity',
    primary key (team_id, id),
    constraint webhook_subscriptions_rotation check ((previous_secret is null) = (previous_until is null)),
    constraint webhook_subscriptions_disabled check ((disabled_reason is null) = (disabled_at is null))
);
create index webhook_subscriptions_due on webhook_subscriptions (due_at) where disabled_at is null;
create index webhook_subscriptions_created_by on webhook_subscriptions (created_by);

-- One event for one subscription: a chain of attempts. What is sent is made of the journal row when it is sent; `seq` 0 is
-- a test. While `claim` is set and `next_at` not over, an attempt is on its way; a pending row without one waits for
-- `next_at`. `step` is its place in the schedule, `attempts` how many have begun.
create table webhook_deliveries (
    team_id uuid not null,
    id uuid not null constraint webhook_deliveries_id_key unique,
    subscription_id uuid not null,
    event_type text not null,
    epoch integer not null check (epoch >= 1),
    seq bigint not null check (seq >= 0),
    prev_seq bigint not null check (prev_seq >= 0),
    task_id uuid,
    happened_at timestamptz not null,
    created_at timestamptz not null default now(),
    status text not null check (status in ('pending', 'delivered', 'failed', 'expired')),
    step smallint not null default 0 check (step >= 0),
    attempts integer not null default 0 check (attempts >= 0),
    claim uuid,
    next_at timestamptz not null default now(),
    ended_at timestamptz,
    last_status smallint,
    last_error text check (char_length(last_error) <= 40),
    last_duration_ms integer,
    primary key (team_id, id),
    constraint webhook_deliveries_ended check ((status = 'pending') = (ended_at is null)),
    foreign key (team_id, subscription_id) references webhook_subscriptions (team_id, id) on delete cascade
);
create unique index webhook_deliveries_event on webhook_deliveries (subscription_id, epoch, seq) where seq > 0;
create index webhook_deliveries_due on webhook_deliveries (subscription_id, next_at) where status = 'pending';
create index webhook_deliveries_place on webhook_deliveries (subscription_id, epoch, seq) where status = 'pending';
create index webhook_deliveries_list on webhook_deliveries (team_id, subscription_id, id);
create index webhook_deliveries_status on webhook_deliveries (team_id, subscription_id, status, id);
create index webhook_deliveries_created_at on webhook_deliveries (created_at);
create index webhook_deliveries_task on webhook_deliveries (team_id, task_id);

-- Written when an attempt begins, with the error `interrupted`, and again when it ends: one that was cut off stays so.
create table webhook_attempts (
    team_id uuid not null,
    delivery_id uuid not null,
    number integer not null check (number >= 1),
    at timestamptz not null,
    status smallint,
    error text check (char_length(error) <= 40),
    duration_ms integer,
    response text not null default '' check (char_length(response) <= 2000),
    primary key (team_id, delivery_id, number),
    foreign key (team_id, delivery_id) references webhook_deliveries (team_id, id) on delete cascade
);

alter table webhook_subscriptions enable row level security;
alter table webhook_subscriptions force row level security;
alter table webhook_deliveries enable row level security;
alter table webhook_deliveries force row level security;
alter table webhook_attempts enable row level security;
alter table webhook_attempts force row level security;

-- Members find them, so that they are told what they may not do; owners and admins read and change them. The API reads a
-- sealed secret only to put it in the place of the previous one.
grant select (team_id, id, url, description, event_types, statuses, label_ids, assignee_ids, format, in_order,
              secret, previous_until, created_by, created_at, updated_at, start_seq, last_seq, disabled_reason,
              disabled_at, failing_since, paused_until, due_at),
      insert,
      update (url, description, event_types, statuses, label_ids, assignee_ids, format, in_order, secret, previous_secret,
              previous_until, updated_at, disabled_reason, disabled_at, failing_since, noticed_at, throttle, paused_until,
              due_at),
      delete
    on webhook_subscriptions to taskforge_api;
grant select, insert, update (status, step, claim, next_at, ended_at) on webhook_deliveries to taskforge_api;
grant select on webhook_attempts to taskforge_api;
create policy member on webhook_subscriptions for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy member on webhook_deliveries for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
create policy admin on webhook_subscriptions to taskforge_api
    using (team_id in (select team_id from memberships
                       where user_id = (select app_user()) and role in ('owner', 'admin')))
    with check (team_id in (select team_id from memberships
                            where user_id = (select app_user()) and role in ('owner', 'admin')));
create policy admin on webhook_deliveries to taskforge_api
    using (team_id in (select team_id from memberships
                       where user_id = (select app_user()) and role in ('owner', 'admin')))
    with check (team_id in (select team_id from memberships
                            where user_id = (select app_user()) and role in ('owner', 'admin')));
create policy admin on webhook_attempts for select to taskforge_api
    using (team_id in (select team_id from memberships
                       where user_id = (select app_user()) and role in ('owner', 'admin')));

-- The worker makes deliveries, sends them and forgets them.
grant select, update, delete on webhook_subscriptions to taskforge_worker;
grant select, insert, update, delete on webhook_deliveries, webhook_attempts to taskforge_worker;
create policy worker on webhook_subscriptions to taskforge_worker using (true) with check (true);
create policy worker on webhook_deliveries to taskforge_worker using (true) with check (true);
create policy worker on webhook_attempts to taskforge_worker using (true) with check (true);

-- What endpoints have answered may quote what was sent.
grant select (team_id, delivery_id, response), update (response) on webhook_attempts to taskforge_redactor;
grant select (team_id, id, task_id) on webhook_deliveries to taskforge_redactor;
create policy redactor on webhook_attempts to taskforge_redactor using (true) with check (true);
create policy redactor on webhook_deliveries for select to taskforge_redactor using (true);

reset role;
