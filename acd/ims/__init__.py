"""The IMS core of a configuration: its subscribers, its roles as hops or in one process, what is told of them."""
