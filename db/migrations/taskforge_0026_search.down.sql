set local lock_timeout = '5s';
set local role taskforge_owner;

-- Addresses keep the form that they have: every release finds them in it.
drop table search_documents;

reset role;
