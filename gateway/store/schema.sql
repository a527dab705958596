-- The gateway's own schema, as migrations. Each section is run once, in order, in one transaction; never edit one that
-- was released, add another. Two replicas may start at once: an advisory lock lets one of them through.
--
-- Least privilege. The owner of the schema runs the migrations. A gateway that logs in as somebody else needs:
--   GRANT USAGE ON SCHEMA hoop; GRANT SELECT ON ALL TABLES; GRANT INSERT, UPDATE ON approval, granted, outbox, person, replica, chore;
--   GRANT INSERT, UPDATE, DELETE ON conversation, ticket, link; GRANT INSERT ON audit, checkpoint, ending. Nobody needs UPDATE or DELETE on audit and checkpoint, nor DELETE on approval.
-- Then it starts only on a schema that is up to date; the owner starts it once after each upgrade.

-- migration 1: requests, cards, the record, people, replicas

-- The questions. `body` is the whole request (approvals/stored.py); the other columns are what queries ask for. It is
-- json and not jsonb: jsonb can't hold U+0000, and nothing looks inside.
CREATE TABLE hoop.approval (
    id                text PRIMARY KEY,
    state             text NOT NULL CHECK (state IN ('pending', 'approved', 'released', 'executed', 'failed', 'unknown',
                                                     'denied', 'expired', 'withdrawn', 'superseded', 'undeliverable')),
    rev               integer NOT NULL CHECK (rev > 0),
    replica           text NOT NULL,
    session           text NOT NULL,
    requester_issuer  text NOT NULL,
    requester_subject text NOT NULL,
    opened_at         timestamptz NOT NULL,  -- by the gateway's clock, as in body
    expires_at        timestamptz NOT NULL,
    stored_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    body              json NOT NULL
);
CREATE INDEX approval_newest ON hoop.approval (opened_at DESC, id DESC);
-- Open and running requests are few among all that ever were.
CREATE INDEX approval_open ON hoop.approval (expires_at) WHERE state IN ('pending', 'approved');
CREATE INDEX approval_of_replica ON hoop.approval (replica) WHERE state IN ('pending', 'approved', 'released');

-- A card of a request in one channel: shown at `sent`, wanted at `wanted`. A claim is `next_at` in the future.
CREATE TABLE hoop.outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request    text NOT NULL REFERENCES hoop.approval,
    channel    text NOT NULL,
    wanted     integer NOT NULL,
    sent       integer NOT NULL DEFAULT 0,
    ref        text,
    attempts   integer NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dead       boolean NOT NULL DEFAULT false,
    last_error text NOT NULL DEFAULT '',
    UNIQUE (request, channel)
);
CREATE INDEX outbox_due ON hoop.outbox (next_at) WHERE wanted > sent AND NOT dead;

-- Copies of the spools' entries. `text` is the canonical line, byte for byte; `body` the same for queries; the columns
-- are what the audit grammar filters by (audit/query.py, PATTERNS). Append-only.
CREATE TABLE hoop.audit (
    replica     text NOT NULL,
    seq         bigint NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    outcome     text,
    verdict     text,
    "user"      text,
    subject     text,
    agent       text,
    client      text,
    target      text,
    tables      text[],
    columns     text[],
    tag         text,
    rule        text,
    request     text,
    session     text,
    sqlstate    text,
    rows        bigint,
    duration_ms double precision,
    decided_by  text,
    body        jsonb NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (replica, seq)
);
CREATE INDEX audit_ends ON hoop.audit (at DESC) WHERE kind IN ('finished', 'refused', 'decided');
CREATE INDEX audit_of_request ON hoop.audit (request) WHERE request IS NOT NULL;

-- Signed heads of chains: what makes a cut tail visible.
CREATE TABLE hoop.checkpoint (
    replica   text NOT NULL,
    seq       bigint NOT NULL,
    head      text NOT NULL,
    signature text NOT NULL,
    kept_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (replica, seq)
);

-- The last verified token of each person: whom a chat user's e-mail belongs to.
CREATE TABLE hoop.person (
    issuer  text NOT NULL,
    subject text NOT NULL,
    "user"  text NOT NULL,
    email   text,
    groups  text[] NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX person_email ON hoop.person (lower(email), seen_at DESC) WHERE email IS NOT NULL;

-- Signs of life.
CREATE TABLE hoop.replica (
    name    text PRIMARY KEY,
    beat_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Which replica a cancel key belongs to, so that a CancelRequest that lands elsewhere finds its session.
CREATE TABLE hoop.session (
    cancel_key bytea PRIMARY KEY,
    session    text NOT NULL,
    replica    text NOT NULL
);

-- migration 2: cancel keys are forwarded by NOTIFY

-- A key that lands on another replica is told to all by its digest (queries.sql, cancel_notify): no row a login.
DROP TABLE hoop.session;

-- migration 3: conversations of Teams

-- Where Teams can be written to. A service URL is of a tenant and its region; the app is told it by every message, and by
-- being added to a team. Rows go when the app is taken out again: the gateway needs DELETE here, too.
CREATE TABLE hoop.conversation (
    id          text PRIMARY KEY,
    team        text NOT NULL,
    service_url text NOT NULL,
    met_at      timestamptz NOT NULL
);

-- migration 4: what a process that was killed leaves behind

-- Who sends a card just now, so that its claims end with it. `maybe_posted`: a first post was begun and its answer never came.
-- `turn_at`: when it is this card's turn, where a chat takes so many at once only.
ALTER TABLE hoop.outbox ADD COLUMN claimed_by text, ADD COLUMN maybe_posted boolean NOT NULL DEFAULT false,
                        ADD COLUMN turn_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX outbox_claimed ON hoop.outbox (claimed_by) WHERE claimed_by IS NOT NULL;
-- Dead letters. One without an error had nothing to say: its request ended before anybody could be asked.
CREATE INDEX outbox_parked ON hoop.outbox (id) WHERE dead AND last_error <> '';

-- Executed, and its transaction is still open: somebody has to tell how that ends.
ALTER TABLE hoop.approval ADD COLUMN unsettled boolean NOT NULL DEFAULT false;
DROP INDEX hoop.approval_of_replica;
CREATE INDEX approval_of_replica ON hoop.approval (replica)
 WHERE state IN ('pending', 'approved', 'released') OR unsettled;

-- What is told in the transaction that makes it so: the last ones are looked at when a process has died.
CREATE INDEX audit_steps ON hoop.audit (replica, seq) WHERE kind IN ('held', 'decided', 'released');

-- When a later process of the same spool has made true what a dead one left: it need not be looked at again.
ALTER TABLE hoop.replica ADD COLUMN buried_at timestamptz;

-- migration 5: requests that outlive their clients

-- What such a request asks (its content digest), for whoever sends the same again; null for all others.
ALTER TABLE hoop.approval ADD COLUMN kept text;
CREATE INDEX approval_kept ON hoop.approval (kept) WHERE kept IS NOT NULL AND state IN ('pending', 'approved');

-- migration 6: which sessions are open

CREATE INDEX audit_sessions ON hoop.audit (replica, session) WHERE kind IN ('session_started', 'session_ended');

-- migration 7: reminders

-- How many thirds of its request's time a card was reminded of.
ALTER TABLE hoop.outbox ADD COLUMN reminded integer NOT NULL DEFAULT 0;

-- migration 8: what one person asked and was denied, and what is done once by one of several replicas

CREATE INDEX approval_of_requester ON hoop.approval (requester_issuer, requester_subject, opened_at DESC, id DESC);
CREATE INDEX approval_denied ON hoop.approval (requester_issuer, requester_subject, changed_at DESC) WHERE state = 'denied';

-- Weekly summaries. What is done is claimed for ever.
CREATE TABLE hoop.chore (
    name          text PRIMARY KEY,
    claimed_until timestamptz NOT NULL
);

-- migration 9: grants, and sessions that are ended by people

-- What a request's approval may be granted for (approvals/grants.py); null for all others.
ALTER TABLE hoop.approval ADD COLUMN shape text;
CREATE INDEX approval_shape ON hoop.approval (shape) WHERE shape IS NOT NULL;

-- What the grant of a request allows, and how often it was used: counted under this row's lock, so that two replicas never
-- use it once too often. Who gave it and what it covers is in the request's body.
CREATE TABLE hoop.granted (
    id      text PRIMARY KEY REFERENCES hoop.approval,
    shape   text NOT NULL,
    ends_at timestamptz NOT NULL,
    uses    integer CHECK (uses > 0),
    used    integer NOT NULL DEFAULT 0 CHECK (used <= uses),
    revoked boolean NOT NULL DEFAULT false
);
CREATE INDEX granted_shape ON hoop.granted (shape, ends_at) WHERE NOT revoked;

-- Orders to end a session, for whichever replica has it.
CREATE TABLE hoop.ending (
    session    text PRIMARY KEY,
    ended_by   text NOT NULL,
    why        text NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- migration 10: sign-ins in a browser, and the chat accounts that they are linked with

-- What a secret opens once: a link, a sign-in under way, a form to be sent, a code to be typed. `id` is a keyed digest of the
-- secret (identity/login.py), which only its owner's browser or chat has.
CREATE TABLE hoop.ticket (
    id         text PRIMARY KEY,
    body       json NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ticket_over ON hoop.ticket (expires_at);

-- Whose a chat account is: a person at the issuer, whom its owner has signed in as. Groups are the person's.
CREATE TABLE hoop.link (
    front     text NOT NULL,
    place     text NOT NULL,
    account   text NOT NULL,
    issuer    text NOT NULL,
    subject   text NOT NULL,
    "user"    text NOT NULL,
    email     text,
    linked_at timestamptz NOT NULL,
    PRIMARY KEY (front, place, account)
);

-- migration 11: whom a linked chat account was taken for before

-- Its address, and the identities that it stood for when it was linked (Person.also): they are the same human's.
ALTER TABLE hoop.link ADD COLUMN also text[] NOT NULL DEFAULT '{}';

-- migration 12: entries of up to 4 kB stay as they are

-- Compressing them took a third of the time of putting them in, for a fifth of the space.
ALTER TABLE hoop.audit SET (toast_tuple_target = 4080);
