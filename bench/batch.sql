\set aid0 random(1, 100000)
\set aid1 random(1, 100000)
\set aid2 random(1, 100000)
\set aid3 random(1, 100000)
\set aid4 random(1, 100000)
\set aid5 random(1, 100000)
\set aid6 random(1, 100000)
\set aid7 random(1, 100000)
\set aid8 random(1, 100000)
\set aid9 random(1, 100000)
\set delta random(-5000, 5000)
\startpipeline
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid0;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid1;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid2;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid3;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid4;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid5;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid6;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid7;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid8;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid9;
\endpipeline
