-- The log: `line` is text, the very bytes of a file's line; jsonb would not keep them, and refuses \u0000.
CREATE SCHEMA kugetsu;

CREATE TABLE kugetsu.meta (                      -- one row
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  schema_version int NOT NULL,
  min_client int NOT NULL,                       -- raised by hand, once the last host is upgraded
  closed boolean NOT NULL DEFAULT false,
  host_ttl interval NOT NULL DEFAULT '30 min');

CREATE TABLE kugetsu.events (
  seq bigint PRIMARY KEY CHECK (seq > 0),
  line text NOT NULL);

CREATE TABLE kugetsu.head (                      -- one row: what an append is compared with, and its lock
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  seq bigint NOT NULL,
  sha text NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE kugetsu.hosts (                     -- not the log: renewed all the time
  host text PRIMARY KEY, term bigint NOT NULL, name text NOT NULL, boot text NOT NULL, client int NOT NULL,
  beat_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, fenced boolean NOT NULL DEFAULT false,
  mirror_seq bigint NOT NULL DEFAULT 0, said jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

INSERT INTO kugetsu.meta (schema_version, min_client) VALUES (1, 1);
INSERT INTO kugetsu.head (seq, sha) VALUES (0, repeat('0', 32));
CREATE TYPE kugetsu.answer AS (ok boolean, seq bigint, line text);

CREATE FUNCTION kugetsu.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'KG002'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kugetsu.events
  FOR EACH STATEMENT EXECUTE FUNCTION kugetsu.refuse();

CREATE FUNCTION kugetsu.sha_of(line text) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT left(right(line, 34), 32) $$;

CREATE FUNCTION kugetsu.tail(after bigint, most int) RETURNS SETOF kugetsu.answer LANGUAGE sql STABLE
  AS $$ SELECT false, seq, line FROM kugetsu.events WHERE seq > after ORDER BY seq LIMIT most $$;

-- For append alone: nobody may call it.
CREATE FUNCTION kugetsu.write_lines(after bigint, prev text, lines text[]) RETURNS text
LANGUAGE plpgsql SET search_path = kugetsu, pg_temp AS $$
DECLARE n int := coalesce(cardinality(lines), 0); l text; d text := prev; more text;
BEGIN
  IF n = 0 THEN RAISE EXCEPTION 'no lines' USING ERRCODE = 'KG003'; END IF;
  FOR i IN 1..n LOOP
    l := lines[i];
    d := left(encode(sha256(convert_to(d || left(l, -42), 'UTF8')), 'hex'), 32);
    IF l IS NULL OR right(l, 42) <> ',"sha":"' || d || '"}' OR position(E'\n' in l) > 0 THEN
      RAISE EXCEPTION 'line % does not chain', after + i USING ERRCODE = 'KG003';
    END IF;
    -- The envelope's own keys stand before "by", where a quote inside a text is escaped. Not ->>: it refuses \u0000.
    more := substring(split_part(l, ',"by":{', 1) from ',"more":([0-9]+)$');
    IF left(l, 8 + length((after + i)::text)) <> '{"seq":' || (after + i) || ','
       OR coalesce(more, '0') <> (n - i)::text THEN
      RAISE EXCEPTION 'line % is not event % of its transaction', i, after + i USING ERRCODE = 'KG003';
    END IF;
    PERFORM l::json;
    INSERT INTO events VALUES (after + i, l);
  END LOOP;
  RETURN d;
END $$;

-- The lines after event `after`, whose digest is `prev`: all or nothing, if that is the last event; else what follows it.
CREATE FUNCTION kugetsu.append(after bigint, prev text, lines text[], client int) RETURNS SETOF kugetsu.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp SET lock_timeout = '10s' AS $$
DECLARE h head; m meta; d text;
BEGIN
  SELECT * INTO h FROM head FOR UPDATE;
  IF h.seq = after AND h.sha = prev THEN
    SELECT * INTO m FROM meta;
    IF client < m.min_client THEN
      RAISE EXCEPTION 'this kugetsu is too old for the shared log' USING ERRCODE = 'KG004';
    END IF;
    IF m.closed THEN RAISE EXCEPTION 'the shared log was closed' USING ERRCODE = 'KG005'; END IF;
    d := write_lines(after, prev, lines);
    UPDATE head SET seq = after + cardinality(lines), sha = d;
    PERFORM pg_notify('kugetsu', (after + cardinality(lines))::text);    -- sent at commit
    RETURN NEXT (true, after + cardinality(lines), NULL)::answer;
    RETURN;
  END IF;
  IF after >= h.seq OR after > 0 AND (SELECT sha_of(e.line) FROM events e WHERE e.seq = after) IS DISTINCT FROM prev THEN
    RAISE EXCEPTION 'not the log that was read: event % is another one here, or is not here', after
      USING ERRCODE = 'KG001';
  END IF;
  RETURN QUERY SELECT * FROM tail(after, 1000);
END $$;

-- Holds the head until the end of the transaction. 1,001 rows: too far behind, roll back and catch up first.
CREATE FUNCTION kugetsu.hold(after bigint) RETURNS SETOF kugetsu.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
  PERFORM 1 FROM head FOR UPDATE;
  RETURN QUERY SELECT * FROM tail(after, 1001);
END $$;

-- A new term of the host.
CREATE FUNCTION kugetsu.join_host(h text, n text, b text, c int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = kugetsu, pg_temp AS $$
  INSERT INTO hosts SELECT h, 1, n, b, c, clock_timestamp(), clock_timestamp() + host_ttl FROM meta
  ON CONFLICT (host) DO UPDATE SET term = hosts.term + 1, name = n, boot = b, client = c, fenced = false,
    beat_at = excluded.beat_at, expires_at = excluded.expires_at RETURNING term $$;

CREATE FUNCTION kugetsu.beat(h text, t bigint, mirror bigint, s jsonb)
RETURNS TABLE (held boolean, now_there timestamptz, ttl interval, head_seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp SET synchronous_commit = off AS $$
DECLARE c timestamptz := clock_timestamp(); w interval := (SELECT host_ttl FROM meta); f boolean;
BEGIN
  UPDATE hosts SET beat_at = c, expires_at = c + w, mirror_seq = mirror, said = s
   WHERE host = h AND term = t AND NOT fenced RETURNING true INTO f;
  RETURN QUERY SELECT coalesce(f, false), c, w, (SELECT seq FROM head);
END $$;

-- In one transaction with the append of host.lost: from here on that term renews nothing.
CREATE FUNCTION kugetsu.fence(h text, t bigint, sure boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp AS $$
DECLARE done boolean;
BEGIN
  -- After a restart or a failover everybody gets a whole ttl to renew; `sure`: a person says that it is dead.
  IF NOT sure AND clock_timestamp() - pg_postmaster_start_time() < (SELECT host_ttl FROM meta) THEN
    RETURN false;
  END IF;
  UPDATE hosts SET fenced = true WHERE host = h AND term = t AND (sure OR expires_at <= clock_timestamp())
    RETURNING true INTO done;
  RETURN coalesce(done, false);
END $$;

-- Functions are open to everybody by default; the roles get theirs one by one (roles.sql).
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kugetsu FROM PUBLIC;
