set local lock_timeout = '5s';
set local role taskforge_owner;

-- From which network a ticket was asked for: an address of IPv4, a /64 of IPv6; null where the peer has none. Whoever
-- names a network (per transaction, as ever) may count its tickets, whose ever they are.
alter table live_tickets add column network inet;
create index live_tickets_network on live_tickets (network) where network is not null;
create function app_network() returns inet language sql stable parallel safe
    return nullif(current_setting('app.network', true), '')::inet;
revoke execute on function app_network() from public;
grant execute on function app_network() to taskforge_api;
create policy by_network on live_tickets for select to taskforge_api using (network = (select app_network()));

-- A team that is being made holds one of its owner's places until it is there, or was not made after all.
create table team_places (
    team_id uuid not null primary key,
    user_id uuid not null references users (id) on delete cascade,
    expires_at timestamptz not null
);
create index team_places_user on team_places (user_id);
create index team_places_expires_at on team_places (expires_at);
alter table team_places enable row level security;
alter table team_places force row level security;
grant select, insert, delete on team_places to taskforge_api;
create policy own on team_places to taskforge_api
    using (user_id = (select app_user())) with check (user_id = (select app_user()));
grant select (team_id, expires_at), delete on team_places to taskforge_worker;
create policy worker on team_places to taskforge_worker using (expires_at < now());

reset role;
