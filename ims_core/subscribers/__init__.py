"""Who the subscribers are, by which identities they are known and how they prove it: what an HSS tells an S-CSCF."""
