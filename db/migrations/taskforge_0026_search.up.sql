set local lock_timeout = '5s';
set local role taskforge_owner;

-- Search --------------------------------------------------------------------------------------------------------------

-- The folded text of a task with its comments, true while `seq` is the task's version. The worker writes it some time
-- after the task; no index but the key, so that writing a document anew stays heap-only. pg_trgm is no part of every
-- PostgreSQL, so texts are looked through (`db/search_documents.py`).
create table search_documents (
    team_id uuid not null,
    task_id uuid not null,
    seq bigint not null check (seq > 0),
    text text collate "C" not null,
    primary key (team_id, task_id),
    foreign key (team_id, task_id) references tasks (team_id, id) on delete cascade
) with (fillfactor = 80);

alter table search_documents enable row level security;
alter table search_documents force row level security;

grant select on search_documents to taskforge_api;
create policy member on search_documents for select to taskforge_api
    using (team_id in (select team_id from memberships where user_id = (select app_user())));
grant select, insert, update (seq, text), delete on search_documents to taskforge_worker;
create policy worker on search_documents to taskforge_worker using (true) with check (true);

-- Addresses -----------------------------------------------------------------------------------------------------------

-- The domain of an address is compared in one form from now on (`api/auth/emails.py`): lower case, in its own letters.
-- These functions bring what is stored into it and are gone afterwards. The first is the decoding of RFC 3492, 6.2; it
-- gives null for what is no Punycode, or decodes to more than lower-case letters and digits: about such a label only the
-- tables of IDNA can tell, and an address that keeps its form is found by it all the same.
create function unpuny_0026(code text) returns text language plpgsql immutable as $$
declare
    letters text := case when strpos(code, '-') > 0 then regexp_replace(code, '-[^-]*$', '') else '' end;
    rest text := regexp_replace(code, '^.*-', '');
    n integer := 128;
    i bigint := 0;
    bias integer := 72;
    place integer := 1;
    old bigint;
    w bigint;
    k integer;
    t integer;
    digit integer;
    delta bigint;
    size integer;
begin
    while place <= length(rest) loop
        old := i;
        w := 1;
        k := 36;
        loop
            digit := strpos('abcdefghijklmnopqrstuvwxyz0123456789', substr(rest, place, 1)) - 1;
            if place > length(rest) or digit < 0 then
                return null;
            end if;
            place := place + 1;
            i := i + digit * w;
            t := greatest(1, least(26, k - bias));
            exit when digit < t;
            w := w * (36 - t);
            k := k + 36;
        end loop;
        size := length(letters) + 1;
        delta := case when old = 0 then (i - old) / 700 else (i - old) / 2 end;
        delta := delta + delta / size;
        k := 0;
        while delta > 455 loop
            delta := delta / 35;
            k := k + 36;
        end loop;
        bias := k + 36 * delta / (delta + 38);
        n := n + (i / size)::integer;
        i := i % size;
        letters := left(letters, i::integer) || chr(n) || substr(letters, i::integer + 1);
        i := i + 1;
    end loop;
    if letters <> lower(normalize(letters, nfkc) collate pg_unicode_fast)
       or letters collate pg_unicode_fast ~ '[^[:alnum:]-]' then
        return null;
    end if;
    return letters;
exception when others then
    return null;  -- A number beyond Unicode, or beyond any.
end
$$;

create function address_0026(address text) returns text language sql immutable
    return regexp_replace(address, '@[^@]*$', '') || '@' || (
        select string_agg(
            case when label like 'xn--%' then coalesce(unpuny_0026(substr(label, 5)), label) else label end,
            '.' order by number
        )
        from regexp_split_to_table(
            lower(normalize(regexp_replace(address, '^.*@', ''), nfkc) collate pg_unicode_fast), '[.]'
        ) with ordinality as parts (label, number)
    );

-- Two accounts that turn out to have one address keep theirs: nobody can say which of them it is.
alter table users no force row level security;
alter table invitations no force row level security;
alter table account_tokens no force row level security;
with wanted as (
    select id, address_0026(email) as email from users where email ~ 'xn--|[^\x01-\x7f]' and email <> address_0026(email)
)
update users u set email = w.email from wanted w
where u.id = w.id
  and not exists (select from users o where lower(o.email) = lower(w.email collate pg_unicode_fast))
  and not exists (select from wanted o where lower(o.email) = lower(w.email) and o.id < w.id);
update invitations set email = address_0026(email)
where email ~ 'xn--|[^\x01-\x7f]' and email <> address_0026(email);
update account_tokens set email = address_0026(email)
where email ~ 'xn--|[^\x01-\x7f]' and email <> address_0026(email);
alter table users force row level security;
alter table invitations force row level security;
alter table account_tokens force row level security;
drop function address_0026(text);
drop function unpuny_0026(text);

reset role;
