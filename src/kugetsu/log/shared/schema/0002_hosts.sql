-- A new term of the host, above every one that its log knows: a database that was restored, or is another one, may know
-- fewer. No version of kugetsu called the function of four arguments.
DROP FUNCTION kugetsu.join_host(text, text, text, int);

CREATE FUNCTION kugetsu.join_host(h text, n text, b text, c int, above bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = kugetsu, pg_temp AS $$
  INSERT INTO hosts SELECT h, above + 1, n, b, c, clock_timestamp(), clock_timestamp() + host_ttl FROM meta
  ON CONFLICT (host) DO UPDATE SET term = greatest(hosts.term, above) + 1, name = n, boot = b, client = c,
    fenced = false, beat_at = excluded.beat_at, expires_at = excluded.expires_at RETURNING term $$;

-- As append, with the end of a host's term in the same transaction; nothing is appended while the host is heard of.
-- `sure`: a person says that it is gone, whatever the row tells, and if there is none.
CREATE FUNCTION kugetsu.append_fencing(
  after bigint, prev text, lines text[], client int, h text, t bigint, sure boolean) RETURNS SETOF kugetsu.answer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp SET lock_timeout = '10s' AS $$
DECLARE a answer;
BEGIN
  FOR a IN SELECT * FROM append(after, prev, lines, client) LOOP
    IF a.ok AND NOT fence(h, t, sure) AND NOT sure THEN
      RAISE EXCEPTION 'the host is heard of, or the server was restarted a short while ago' USING ERRCODE = 'KG006';
    END IF;
    RETURN NEXT a;
  END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kugetsu FROM PUBLIC;
