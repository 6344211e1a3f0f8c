-- Who may do what; run after every migration. Roles belong to the whole server, their grants to this database.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kugetsu_reader') THEN
    CREATE ROLE kugetsu_reader NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kugetsu_writer') THEN
    CREATE ROLE kugetsu_writer NOLOGIN IN ROLE kugetsu_reader;
  END IF;
END $$;
GRANT USAGE ON SCHEMA kugetsu TO kugetsu_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA kugetsu TO kugetsu_reader;
GRANT EXECUTE ON FUNCTION kugetsu.tail, kugetsu.sha_of TO kugetsu_reader;
GRANT EXECUTE ON FUNCTION kugetsu.append, kugetsu.hold, kugetsu.join_host, kugetsu.beat, kugetsu.append_fencing,
  kugetsu.set_host_ttl, kugetsu.expect_host
  TO kugetsu_writer;
