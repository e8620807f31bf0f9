"""The call-distribution engine: what a dialled number does, who talks to whom, and what is recorded of it.

Read `distributor` for the decisions, `call` for the life of a call, `app` for how the parts are put together.
"""
