\set aid random(1, 100000)
\set delta random(-5000, 5000)
BEGIN;
SAVEPOINT sp_1;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
RELEASE sp_1;
COMMIT;
