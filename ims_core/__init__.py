"""A SIP element without sockets, and a thin asyncio shell to run it.

    messages      what is on the wire: URIs, header values, messages
    transactions  the transaction layer and its timers
    transport     bytes between sockets and the element: the shell
    ua            dialogs, calls and what else happens between user agents
    proxy         forwarding, forking, what comes back
    registrar     bindings and the location service
    security      who may do what
    roles         P-CSCF and S-CSCF as pure decisions

`node` puts them together into one element. Everything but the shells that the import contract lists is free of I/O
and of clocks. Session descriptions are opaque.
"""
