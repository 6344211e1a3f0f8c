"""The machine as files and addresses: the files of a run, who owns a file, which proxy a request takes."""
