"""Key figures (KPI-1): each defined once, computed from what one pass over the event log counts.

`tally` are the counts, `fold` the pass (`callers` and `agents` do its work, `timeline` and `grid` cut time into
intervals), `definitions` the KPIs, `report` what is shown. `reading` gets it from the log, `today` keeps the day in
memory, `live` does both for a running server; `api` and `command` show it.
"""
