-- Every query of postgres.py, by name. Times go in and come out as Unix seconds; the clock is always the database's
-- own (clock_timestamp(), not now(): a transaction that waited for a lock must not judge by the time it began).

-- name: migrated
-- What has been run; fails with 42P01 or 3F000 on a database that never saw us.
SELECT number FROM hoop.migration;

-- name: migration_may
-- May this login run what is missing? CREATE SCHEMA asks for the right on the database even where the schema is there.
SELECT NOT pg_is_in_recovery() AND has_database_privilege(current_database(), 'CREATE')
    AND coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'hoop'), true);

-- name: migration_lock
-- Held to the end of the transaction; the number is "hoop" in ASCII.
SELECT pg_advisory_xact_lock(1752133488);

-- name: migration_begin
CREATE SCHEMA IF NOT EXISTS hoop;

-- name: migration_table
CREATE TABLE IF NOT EXISTS hoop.migration (
    number integer PRIMARY KEY, title text NOT NULL, run_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: migration_done
INSERT INTO hoop.migration (number, title) VALUES ($1, $2);

-- name: request_insert
-- One outbox row a channel, the entries ($12, as in audit_insert); the notification goes out at commit. $13: what it asks,
-- if it outlives its client. $14: in how many seconds each card is due; one of an escalation is not reminded of. $15: its shape,
-- if it may be granted.
WITH request AS (
    INSERT INTO hoop.approval (id, state, rev, replica, session, requester_issuer, requester_subject,
                               opened_at, expires_at, body, kept, shape)
    VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8), to_timestamp($9), $10, $13, $15)
    RETURNING id, rev
), cards AS (
    INSERT INTO hoop.outbox (request, channel, wanted, next_at, reminded)
    SELECT $1, channel, $3, clock_timestamp() + make_interval(secs => later), CASE WHEN later > 0 THEN 2 ELSE 0 END
      FROM unnest($11::text[], $14::double precision[]) AS card (channel, later)
), entries AS (
    INSERT INTO hoop.audit
    SELECT e.* FROM request, unnest($12::text[]) AS line, jsonb_populate_record(
           NULL::hoop.audit, line::jsonb || jsonb_build_object('body', line::jsonb, 'text', line)) AS e
    ON CONFLICT (replica, seq) DO NOTHING
)
SELECT pg_notify('hoop_approval', id || ' ' || rev), pg_notify('hoop_outbox', '') FROM request;

-- name: request_get
SELECT body FROM hoop.approval WHERE id = $1;

-- name: request_lock
-- The clock is read above the lock, so after it was granted: who waited behind an approval sees the time it is now.
SELECT held.body, extract(epoch FROM clock_timestamp())::double precision AS now
  FROM (SELECT body FROM hoop.approval WHERE id = $1 FOR UPDATE) AS held;

-- name: request_move
-- Compare-and-set on rev, the cards, the entries ($5, as in audit_insert), the wake-up: one round trip while a wire waits
-- and the row is locked. No row: somebody else was faster (can't be, under the lock).
-- A claimed card stays claimed: its sender sees the higher `wanted` when it reports. $9: channels of alarms.
WITH moved AS (
    UPDATE hoop.approval SET state = $3, rev = $2 + 1, body = $4, replica = $6, session = $7, unsettled = $8,
           changed_at = clock_timestamp()
     WHERE id = $1 AND rev = $2
    RETURNING id, rev
), cards AS (
    UPDATE hoop.outbox SET wanted = moved.rev FROM moved WHERE outbox.request = moved.id
), alarms AS (
    INSERT INTO hoop.outbox (request, channel, wanted) SELECT id, channel, rev FROM moved, unnest($9::text[]) AS channel
), entries AS (
    INSERT INTO hoop.audit
    SELECT e.* FROM moved, unnest($5::text[]) AS line, jsonb_populate_record(
           NULL::hoop.audit, line::jsonb || jsonb_build_object('body', line::jsonb, 'text', line)) AS e
    ON CONFLICT (replica, seq) DO NOTHING
)
SELECT pg_notify('hoop_approval', id || ' ' || rev), pg_notify('hoop_outbox', '') FROM moved;

-- name: request_find
SELECT body FROM hoop.approval
 WHERE ($1::text[] IS NULL OR state = ANY ($1)) AND ($2::text IS NULL OR replica = $2)
 ORDER BY opened_at DESC, id DESC
 LIMIT $3;

-- name: request_pending_of
SELECT count(*) AS theirs, count(*) FILTER (WHERE session = $3) AS here FROM hoop.approval
 WHERE state = 'pending' AND requester_issuer = $1 AND requester_subject = $2;

-- name: request_denied
SELECT body FROM hoop.approval
 WHERE state = 'denied' AND requester_issuer = $1 AND requester_subject = $2 AND changed_at >= to_timestamp($3)
 ORDER BY changed_at DESC
 LIMIT $4;

-- name: request_of
SELECT body FROM hoop.approval
 WHERE requester_issuer = $1 AND requester_subject = $2
 ORDER BY opened_at DESC, id DESC
 LIMIT $3;

-- name: request_asked
SELECT body FROM hoop.approval
 WHERE opened_at >= to_timestamp($1)
   AND ($2::double precision IS NULL OR (opened_at, id) < (to_timestamp($2), $3::text))
 ORDER BY opened_at DESC, id DESC
 LIMIT $4;

-- name: chore_claim
-- No row: somebody else has it, or it is done.
INSERT INTO hoop.chore (name, claimed_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (name) DO UPDATE SET claimed_until = excluded.claimed_until WHERE chore.claimed_until <= clock_timestamp()
RETURNING name;

-- name: chore_done
INSERT INTO hoop.chore (name, claimed_until) VALUES ($1, 'infinity')
ON CONFLICT (name) DO UPDATE SET claimed_until = 'infinity';

-- name: request_kept
SELECT id FROM hoop.approval
 WHERE kept = $1 AND state IN ('pending', 'approved') AND expires_at > clock_timestamp()
 ORDER BY opened_at DESC, id DESC;

-- name: request_approved
SELECT count(*) FROM hoop.approval
 WHERE shape = $1 AND state IN ('approved', 'released', 'executed', 'failed', 'unknown');

-- name: grant_put
-- A grant that was just given, or was revoked: nothing else of it changes.
INSERT INTO hoop.granted (id, shape, ends_at, uses, revoked) VALUES ($1, $2, to_timestamp($3), $4, $5)
ON CONFLICT (id) DO UPDATE SET revoked = excluded.revoked;

-- name: grant_lock
-- Whoever comes second waits here, and is then told what is left: the conditions are read again behind the lock.
SELECT g.id, approval.body, extract(epoch FROM clock_timestamp())::double precision AS now
  FROM hoop.granted AS g JOIN hoop.approval ON approval.id = g.id
 WHERE g.shape = $1 AND NOT g.revoked AND g.ends_at > clock_timestamp() AND (g.uses IS NULL OR g.used < g.uses)
 ORDER BY g.ends_at, g.id
 LIMIT 1
   FOR UPDATE OF g;

-- name: grant_used
UPDATE hoop.granted SET used = used + 1 WHERE id = $1;

-- name: grant_find
SELECT approval.body, g.used FROM hoop.granted AS g JOIN hoop.approval ON approval.id = g.id
 WHERE NOT g.revoked AND g.ends_at > clock_timestamp() AND (g.uses IS NULL OR g.used < g.uses)
 ORDER BY g.ends_at, g.id
 LIMIT $1;

-- name: session_end
-- Told by NOTIFY; the row is for whoever missed that.
WITH ordered AS (
    INSERT INTO hoop.ending (session, ended_by, why) VALUES ($1, $2, $3) ON CONFLICT (session) DO NOTHING
)
SELECT pg_notify('hoop_session', $1);

-- name: session_endings
SELECT session, ended_by, why FROM hoop.ending WHERE session = ANY ($1::text[]);

-- name: request_revisions
SELECT id, rev FROM hoop.approval WHERE id = ANY ($1::text[]);

-- name: request_overdue
SELECT id FROM hoop.approval
 WHERE state IN ('pending', 'approved') AND expires_at <= clock_timestamp()
 ORDER BY expires_at
 LIMIT $1;

-- name: request_unreachable
-- Pending, no card anywhere, and no hope (all dead) or no time left ($1 seconds, counted from its turn where it had to wait).
SELECT approval.id FROM hoop.approval
 WHERE approval.state = 'pending'
   AND NOT EXISTS (SELECT FROM hoop.outbox WHERE request = approval.id AND ref IS NOT NULL)
   AND ((approval.stored_at <= clock_timestamp() - make_interval(secs => $1)
         AND NOT EXISTS (SELECT FROM hoop.outbox WHERE request = approval.id AND NOT dead
                                                   AND turn_at > clock_timestamp() - make_interval(secs => $1)))
        OR (EXISTS (SELECT FROM hoop.outbox WHERE request = approval.id)
            AND NOT EXISTS (SELECT FROM hoop.outbox WHERE request = approval.id AND NOT dead)));

-- name: outbox_due
-- Claim for $2 seconds in the name of $3; two replicas never take the same row. What is told is what was known before.
WITH claimed AS (
    SELECT id, maybe_posted FROM hoop.outbox
     WHERE wanted > sent AND NOT dead AND next_at <= clock_timestamp()
     ORDER BY next_at, id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE hoop.outbox SET next_at = clock_timestamp() + make_interval(secs => $2), claimed_by = $3,
                           maybe_posted = ref IS NULL
      FROM claimed WHERE outbox.id = claimed.id
    RETURNING outbox.id, request, channel, wanted, sent, ref, attempts, dead, last_error, created_at,
              claimed.maybe_posted
)
SELECT id, request, channel, wanted, sent, ref, attempts, dead, last_error, maybe_posted,
       extract(epoch FROM created_at)::double precision AS created_at
  FROM taken ORDER BY id;

-- name: outbox_sent
UPDATE hoop.outbox
   SET sent = greatest(sent, $2), ref = $3, attempts = 0, last_error = '', next_at = clock_timestamp(),
       claimed_by = NULL, maybe_posted = false
 WHERE id = $1;

-- name: outbox_failed
-- $3 null: never again. $4: it is certain that nothing was posted.
UPDATE hoop.outbox
   SET attempts = attempts + 1, last_error = $2, dead = $3::double precision IS NULL, claimed_by = NULL,
       maybe_posted = maybe_posted AND NOT $4,
       next_at = clock_timestamp() + make_interval(secs => coalesce($3, 0))
 WHERE id = $1;

-- name: outbox_postponed
-- Not sent: its turn comes in $2 seconds. $3: what was known of former attempts.
UPDATE hoop.outbox
   SET next_at = clock_timestamp() + make_interval(secs => $2), turn_at = clock_timestamp() + make_interval(secs => $2),
       claimed_by = NULL, maybe_posted = $3
 WHERE id = $1;

-- name: outbox_remind
-- Posted cards whose pending request has waited for one more third of its time. It is marked before it is said: a process that
-- dies in between leaves one unsaid, none is said twice.
WITH late AS (
    SELECT card.id, thirds
      FROM hoop.outbox AS card JOIN hoop.approval ON approval.id = card.request,
           LATERAL (SELECT least(2, floor(3 * extract(epoch FROM clock_timestamp() - opened_at)
                                          / nullif(extract(epoch FROM expires_at - opened_at), 0)))) AS waited (thirds)
     WHERE state = 'pending' AND expires_at > clock_timestamp() AND expires_at - opened_at >= make_interval(secs => $2)
       AND ref IS NOT NULL AND NOT dead AND reminded < thirds
     ORDER BY card.id
     LIMIT $1
       FOR UPDATE OF card SKIP LOCKED
), told AS (
    UPDATE hoop.outbox SET reminded = thirds FROM late WHERE outbox.id = late.id AND reminded < thirds
    RETURNING outbox.*
)
SELECT id, request, channel, wanted, sent, ref, attempts, dead, last_error, maybe_posted,
       extract(epoch FROM created_at)::double precision AS created_at
  FROM told ORDER BY id;

-- name: outbox_unremind
UPDATE hoop.outbox SET reminded = reminded - 1 WHERE id = $1 AND reminded > 0;

-- name: outbox_hurry
-- Those that nobody has tried to post: what failed keeps its own time.
WITH hurried AS (
    UPDATE hoop.outbox SET next_at = clock_timestamp()
     WHERE request = $1 AND ref IS NULL AND NOT dead AND attempts = 0 AND claimed_by IS NULL AND next_at > clock_timestamp()
    RETURNING id
)
SELECT pg_notify('hoop_outbox', '') FROM hurried LIMIT 1;

-- name: outbox_backlog
-- What is due in more than $1 seconds is no backlog, but if it waits for its turn.
SELECT (SELECT count(*) FROM hoop.outbox WHERE wanted > sent AND NOT dead
                                           AND (next_at <= clock_timestamp() + make_interval(secs => $1)
                                                OR turn_at > clock_timestamp())) AS waiting,
       (SELECT count(*) FROM hoop.outbox WHERE dead AND last_error <> '') AS parked;

-- name: outbox_parked
SELECT id, request, channel, wanted, sent, ref, attempts, dead, last_error, maybe_posted,
       extract(epoch FROM created_at)::double precision AS created_at
  FROM hoop.outbox WHERE dead AND last_error <> '' ORDER BY id DESC LIMIT $1;

-- name: outbox_revive
-- Dead letters of the last $1 seconds that hang in a chat with an old face, or whose request still waits.
WITH revived AS (
    UPDATE hoop.outbox SET dead = false, attempts = 0, next_at = clock_timestamp()
      FROM hoop.approval
     WHERE dead AND last_error <> '' AND created_at > clock_timestamp() - make_interval(secs => $1)
       AND approval.id = outbox.request AND (ref IS NOT NULL OR maybe_posted OR approval.state = 'pending')
    RETURNING outbox.id
)
SELECT count(*) AS revived FROM revived;

-- name: outbox_redraw
-- As if the newest revision had not been shown yet, also of a dead letter: somebody has just seen its card. A row that is
-- being sent shows it anyway.
WITH again AS (
    UPDATE hoop.outbox SET sent = wanted - 1, attempts = CASE WHEN dead THEN 0 ELSE attempts END, dead = false
     WHERE request = $1 AND ref IS NOT NULL AND (sent >= wanted OR dead)
    RETURNING id
)
SELECT pg_notify('hoop_outbox', '') FROM again;

-- name: outbox_of_request
SELECT id, request, channel, wanted, sent, ref, attempts, dead, last_error, maybe_posted,
       extract(epoch FROM created_at)::double precision AS created_at
  FROM hoop.outbox WHERE request = $1 ORDER BY id;

-- name: outbox_unclaim
-- What a dead replica was sending is due again.
WITH freed AS (
    UPDATE hoop.outbox SET claimed_by = NULL, next_at = clock_timestamp() WHERE claimed_by = $1 RETURNING id
)
SELECT pg_notify('hoop_outbox', '') FROM freed LIMIT 1;

-- name: audit_insert
-- $1: canonical lines, each with its line end; a column is filled from the field of its name. An entry that is
-- there already is left alone, whatever it says: verify compares. Every entry comes this way, so each line is read once:
-- half the time of what request_insert does.
INSERT INTO hoop.audit (replica, seq, at, kind, outcome, verdict, "user", subject, agent, client, target, tables, columns, tag,
                        rule, request, session, sqlstate, rows, duration_ms, decided_by, body, text)
SELECT e.replica, e.seq, e.at, e.kind, e.outcome, e.verdict, e."user", e.subject, e.agent, e.client, e.target, e.tables, e.columns,
       e.tag, e.rule, e.request, e.session, e.sqlstate, e.rows, e.duration_ms, e.decided_by, said.body, line
  FROM string_to_table(rtrim($1::text, E'\n'), E'\n') AS line,
       LATERAL (SELECT line::jsonb AS body OFFSET 0) AS said,
       jsonb_populate_record(NULL::hoop.audit, said.body) AS e
ON CONFLICT (replica, seq) DO NOTHING;

-- name: audit_chain
SELECT text FROM hoop.audit WHERE replica = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: audit_steps
SELECT text FROM (SELECT seq, text FROM hoop.audit
                   WHERE replica = $1 AND kind IN ('held', 'decided', 'released')
                   ORDER BY seq DESC LIMIT $2) AS newest
 ORDER BY seq;

-- name: audit_story
SELECT text FROM hoop.audit WHERE request = $1 ORDER BY at, replica, seq;

-- name: audit_sessions
-- Sessions are not rows of their own: what began and has not ended, of processes that live, is open.
SELECT begun.text, begun.replica, begun.seq, begun.at, begun.kind, begun.session FROM hoop.audit AS begun JOIN hoop.replica ON replica.name = begun.replica
 WHERE begun.kind = 'session_started' AND beat_at >= clock_timestamp() - make_interval(secs => $1)
   AND NOT EXISTS (SELECT FROM hoop.audit AS ended
                    WHERE ended.kind = 'session_ended' AND ended.replica = begun.replica AND ended.session = begun.session)
 ORDER BY begun.at DESC, begun.seq DESC LIMIT $2;

-- name: audit_columns
-- Is a row still what audit_insert makes of its body? Whether that body is the text's is compared by the caller: a text
-- that somebody made unreadable must not fail the question.
SELECT seq, text, body, kept IS NOT DISTINCT FROM jsonb_populate_record(
       NULL::hoop.audit, body || jsonb_build_object('body', body, 'text', text)) AS agree
  FROM hoop.audit AS kept WHERE replica = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: checkpoint_insert
INSERT INTO hoop.checkpoint (replica, seq, head, signature) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: checkpoint_all
SELECT replica, seq, head, signature FROM hoop.checkpoint ORDER BY kept_at, replica, seq;

-- name: chain_heads
-- A loose index scan: one look a chain, whatever their length.
WITH RECURSIVE chain AS (
    (SELECT replica FROM hoop.audit ORDER BY replica LIMIT 1)
    UNION ALL
    SELECT (SELECT a.replica FROM hoop.audit AS a WHERE a.replica > chain.replica ORDER BY a.replica LIMIT 1)
      FROM chain WHERE chain.replica IS NOT NULL
)
SELECT chain.replica, newest.seq, newest.hash
  FROM chain, LATERAL (
       SELECT a.seq, a.body ->> 'hash' AS hash FROM hoop.audit AS a
        WHERE a.replica = chain.replica ORDER BY a.seq DESC LIMIT 1) AS newest
 WHERE chain.replica IS NOT NULL;

-- name: person_seen
-- Tokens may be looked at out of order: the newest sight stays.
INSERT INTO hoop.person (issuer, subject, "user", email, groups, seen_at)
VALUES ($1, $2, $3, $4, $5, to_timestamp($6))
ON CONFLICT (issuer, subject) DO UPDATE
   SET "user" = excluded."user", email = excluded.email, groups = excluded.groups, seen_at = excluded.seen_at
 WHERE person.seen_at <= excluded.seen_at;

-- name: person_by_email
SELECT issuer, subject, "user", email, groups FROM hoop.person
 WHERE lower(email) = lower($1) AND seen_at >= to_timestamp($2)
 ORDER BY seen_at DESC
 LIMIT 1;

-- name: person_by_subject
SELECT issuer, subject, "user", email, groups FROM hoop.person
 WHERE issuer = $1 AND subject = $2 AND seen_at >= to_timestamp($3);

-- name: conversation_met
INSERT INTO hoop.conversation (id, team, service_url, met_at) VALUES ($1, $2, $3, to_timestamp($4))
ON CONFLICT (id) DO UPDATE SET team = excluded.team, service_url = excluded.service_url, met_at = excluded.met_at;

-- name: conversation_service_url
-- A channel that never wrote to us is reached as the others of its tenant are.
SELECT service_url FROM hoop.conversation ORDER BY id = $1 DESC, met_at DESC LIMIT 1;

-- name: conversation_parted
DELETE FROM hoop.conversation WHERE id = $1 OR team = $1;

-- name: replica_beat
INSERT INTO hoop.replica (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET beat_at = clock_timestamp();

-- name: replica_stopped
-- Its row stays (see below); it counts as lapsed from now on.
UPDATE hoop.replica SET beat_at = '-infinity' WHERE name = $1;

-- name: replica_abandoned
-- Replicas without a sign of life for $1 seconds that still hold something. Their rows stay when all is settled: they
-- tell verify of chains that should be there.
SELECT name FROM hoop.replica
 WHERE beat_at < clock_timestamp() - make_interval(secs => $1)
   AND EXISTS (SELECT FROM hoop.approval
                WHERE replica = name AND (state IN ('pending', 'approved', 'released') OR unsettled))
 ORDER BY beat_at;

-- name: replica_unburied
-- One that died before its first sign of life has no row.
SELECT asked FROM unnest($1::text[]) AS asked
 WHERE NOT EXISTS (SELECT FROM hoop.replica WHERE name = asked AND buried_at IS NOT NULL);

-- name: replica_buried
UPDATE hoop.replica SET buried_at = clock_timestamp() WHERE name = $1;

-- name: request_unsettled
SELECT body FROM hoop.approval WHERE replica = $1 AND unsettled;

-- name: cancel_notify
SELECT pg_notify('hoop_cancel', digest) FROM unnest($1::text[]) AS digest;

-- name: catalog_notify
SELECT pg_notify('hoop_catalog', $1 || ' ' || $2);

-- name: replica_alive
SELECT name FROM hoop.replica WHERE beat_at >= clock_timestamp() - make_interval(secs => $1) ORDER BY name COLLATE "C";

-- name: replica_lapsed
SELECT name FROM hoop.replica WHERE beat_at < clock_timestamp() - make_interval(secs => $1) ORDER BY beat_at;

-- name: ticket_put
-- $3: Unix seconds of its end. What is over goes with it: nothing else looks after tickets.
WITH over AS (
    DELETE FROM hoop.ticket WHERE expires_at <= clock_timestamp()
)
INSERT INTO hoop.ticket (id, body, expires_at) VALUES ($1, $2, to_timestamp($3));

-- name: ticket_get
SELECT body FROM hoop.ticket WHERE id = $1 AND expires_at > clock_timestamp();

-- name: ticket_take
-- Once: of two at the same time one gets the row.
DELETE FROM hoop.ticket WHERE id = $1 AND expires_at > clock_timestamp() RETURNING body;

-- name: link_put
INSERT INTO hoop.link (front, place, account, issuer, subject, "user", email, linked_at, also)
VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8), $9)
ON CONFLICT (front, place, account) DO UPDATE
   SET issuer = excluded.issuer, subject = excluded.subject, "user" = excluded."user", email = excluded.email,
       linked_at = excluded.linked_at, also = excluded.also;

-- name: link_get
SELECT issuer, subject, "user", email FROM hoop.link WHERE front = $1 AND place = $2 AND account = $3;

-- name: link_of
SELECT front, place, account, also FROM hoop.link WHERE issuer = $1 AND subject = $2;

-- name: link_remove
DELETE FROM hoop.link WHERE front = $1 AND place = $2 AND account = $3 RETURNING account;
