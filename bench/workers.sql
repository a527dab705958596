\set first random(1, 900000)
SELECT aid, bid, abalance, filler FROM pgbench_accounts WHERE aid >= :first AND aid < :first + 1000;
