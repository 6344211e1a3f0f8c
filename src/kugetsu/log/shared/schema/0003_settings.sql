-- The time to live of hosts, which the log has as HOST_LOST_MINUTES. What was renewed before keeps the time that it got.
CREATE FUNCTION kugetsu.set_host_ttl(minutes int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = kugetsu, pg_temp AS $$
BEGIN
  IF minutes IS NULL OR minutes NOT BETWEEN 1 AND 10080 THEN
    RAISE EXCEPTION '% minutes are no time to live', minutes USING ERRCODE = 'KG007';
  END IF;
  UPDATE meta SET host_ttl = make_interval(mins => minutes);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kugetsu FROM PUBLIC;
