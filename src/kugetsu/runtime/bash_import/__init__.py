"""`kugetsu import`: take over a state directory of the bash tool that kugetsu follows.

`reading` opens its files, which are never written, moved or deleted; `make_plan` decides what each record becomes, from
the files, from git and from the running processes (`observed`); `execute` does it. A dry run is the plan alone.
"""
