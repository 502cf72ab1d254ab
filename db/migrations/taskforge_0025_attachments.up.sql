set local lock_timeout = '5s';
set local role taskforge_owner;

-- A file of a task, as its team has decided; the bytes are an object of the same id.
create table attachments (
    team_id uuid not null,
    id uuid not null,
    task_id uuid not null,
    name text not null check (octet_length(name) between 1 and 255),
    media_type text not null check (char_length(media_type) between 3 and 200),
    size bigint not null check (size >= 0),
    digest text not null check (digest ~ '^[0-9a-f]{64}$'),
    created_by uuid not null,
    created_at timestamptz not null,
    primary key (team_id, id),
    foreign key (team_id, task_id) references tasks (team_id, id) on delete cascade
);
create unique index attachments_id on attachments (id);
create index attachments_task on attachments (team_id, task_id, id);
create index attachments_author on attachments (team_id, created_by);
create type commit_attachment as (
    team_id uuid, id uuid, task_id uuid, name text, media_type text, size bigint, digest text, created_by uuid,
    created_at timestamptz);

-- Of a file that is on its way: the task that it is for, and what its sender says of it beforehand. Of an image: what a
-- worker has made of it, below the same path.
alter table objects
    add column task_id uuid,
    add column claimed_size bigint check (claimed_size >= 0),
    add column claimed_sha256 bytea check (octet_length(claimed_sha256) = 32),
    add column thumbnail_key text check (char_length(thumbnail_key) between 1 and 500),
    add column thumbnail_size bigint check (thumbnail_size >= 0);

alter table attachments enable row level security;
alter table attachments force row level security;

grant select on attachments to taskforge_api;
create policy member on attachments for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
grant select, insert, update, delete on attachments to taskforge_writer;
create policy writer on attachments to taskforge_writer using (true) with check (true);
grant select on attachments to taskforge_worker;
create policy worker on attachments for select to taskforge_worker using (true);

-- Members send files to their teams. Until the team has decided they expire, and their senders may change and forget them.
grant insert, update (key, media_type, size, sha256, expires_at) on objects to taskforge_api;
create policy send on objects for insert to taskforge_api
    with check (user_id = (select app_user()) and kind = 'attachment' and key is null and thumbnail_key is null
                and expires_at <= now() + interval '1 day'
                and team_id in (select team_id from memberships where user_id = (select app_user())));
create policy complete on objects for update to taskforge_api
    using (user_id = (select app_user()) and kind = 'attachment' and expires_at is not null)
    with check (user_id = (select app_user()) and kind = 'attachment' and expires_at <= now() + interval '1 day');

-- An attachment and its object come and go together, in one transaction: no attachment is ever without its object, and
-- no object stays whose attachment has gone, whatever took it away. Whoever sweeps takes an object for expired by the
-- same clock: a minute is longer than any transaction that keeps one.
grant select (id, team_id, task_id, kind, key, expires_at), update (expires_at) on objects to taskforge_writer;
create policy writer on objects to taskforge_writer using (kind = 'attachment') with check (kind = 'attachment');
create function attachment_added() returns trigger language plpgsql as $$
begin
    update objects set expires_at = null
    where id = new.id and team_id = new.team_id and task_id = new.task_id and kind = 'attachment' and key is not null
      and expires_at > now() + interval '1 minute';
    if not found then
        raise exception 'there is no such file' using errcode = 'check_violation', constraint = 'attachments_object';
    end if;
    return new;
end
$$;
-- Before, not after: with a task its files are deleted in the owner's name, who may see rows only while that goes on.
create function attachment_gone() returns trigger language plpgsql as $$
begin
    update objects set expires_at = now() where id = old.id and kind = 'attachment' and expires_at is null;
    return old;
end
$$;
revoke execute on function attachment_added(), attachment_gone() from public;
create trigger added before insert on attachments for each row execute function attachment_added();
create trigger gone before delete on attachments for each row execute function attachment_gone();

reset role;
