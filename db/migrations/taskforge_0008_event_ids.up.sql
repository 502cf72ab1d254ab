set local lock_timeout = '5s';
set local role taskforge_owner;

-- A program of the release before names events without their epoch. Whatever it writes is brought to the form of 0005, or
-- else neither program would find what the other has applied, and an event that is delivered again would be applied twice.
create function event_id_with_epoch() returns trigger language plpgsql as $$
begin
    new.event_id := regexp_replace(new.event_id, ':([0-9]+)$', ':1:\1');
    return new;
end
$$;
revoke execute on function event_id_with_epoch() from public;
create trigger event_id before insert on inbox
    for each row when (new.event_id ~ '^[0-9a-f-]{36}:[0-9]+$') execute function event_id_with_epoch();
create trigger event_id before insert on notifications
    for each row when (new.event_id ~ '^[0-9a-f-]{36}:[0-9]+$') execute function event_id_with_epoch();

-- What it has written since 0005. Forced row security hides the rows from their owner, too.
alter table inbox no force row level security;
alter table notifications no force row level security;
delete from inbox i using inbox other
where i.event_id ~ '^[0-9a-f-]{36}:[0-9]+$' and other.consumer = i.consumer
  and other.event_id = regexp_replace(i.event_id, ':([0-9]+)$', ':1:\1');
update inbox set event_id = regexp_replace(event_id, ':([0-9]+)$', ':1:\1')
where event_id ~ '^[0-9a-f-]{36}:[0-9]+$';
delete from notifications n using notifications other
where n.event_id ~ '^[0-9a-f-]{36}:[0-9]+$' and other.user_id = n.user_id and other.kind = n.kind
  and other.event_id = regexp_replace(n.event_id, ':([0-9]+)$', ':1:\1');
update notifications set event_id = regexp_replace(event_id, ':([0-9]+)$', ':1:\1')
where event_id ~ '^[0-9a-f-]{36}:[0-9]+$';
alter table inbox force row level security;
alter table notifications force row level security;

reset role;
