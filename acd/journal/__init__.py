"""The event log: every change is one fact, kept in order, from which everything else is folded.

`port` says what the engine needs of a log, `store` keeps it in SQLite, `reader` reads it. CDRs (`acd.record`),
agents and what is owed (`state`), what a crash left behind (`recovery`), Asterisk's `queue_log` and the explanation
of an offer (`explain`) are folds over what is read.
"""
