"""A SIP element without sockets, and a thin asyncio shell to run it.

Read `endpoint` for the transaction layer, `node` for the whole element, `stack` for the sockets. Everything but
`stack`, `datagrams`, `streams` and `bindings_store` is free of I/O and of clocks. Session descriptions are opaque.
"""
