set local lock_timeout = '5s';
set local role taskforge_owner;

-- What has left the outbox, for as long as its topic would keep it: a broker that loses its topics after it has acknowledged
-- a record, and before a consumer is done with it, must be given the record again. `life` names the life of the broker that
-- the row was sent to: rows of another one go back into the outbox, to their old `position`, which is why that is the key.
-- There is no index beside it, because every row that leaves the outbox would pay for one that is read once an hour.
create table outbox_sent (
    position bigint not null primary key,
    id uuid not null,
    topic outbox_topic not null,
    key outbox_key not null,
    payload outbox_payload not null,
    traceparent text not null,
    created_at timestamptz not null,
    life text not null check (char_length(life) between 1 and 64),
    sent_at timestamptz not null
);

alter table outbox_sent enable row level security;
alter table outbox_sent force row level security;

grant select, insert, delete on outbox_sent to taskforge_worker;
create policy worker on outbox_sent to taskforge_worker using (true) with check (true);

reset role;
