-- A host that the log knows, and this database does not, since an older backup was restored: its silence counts from now
-- on. One that lives renews the row with its next beat; a known term stays as it is.
CREATE FUNCTION kugetsu.expect_host(h text, t bigint, n text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = kugetsu, pg_temp AS $$
  INSERT INTO hosts SELECT h, t, n, '', 0, clock_timestamp(), clock_timestamp() + host_ttl FROM meta
  ON CONFLICT (host) DO UPDATE SET term = t, name = n, fenced = false, beat_at = excluded.beat_at,
    expires_at = excluded.expires_at WHERE hosts.term < t $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kugetsu FROM PUBLIC;
