"""Service profiles: which application servers see a request, and in which order (TS 23.218, TS 29.228, TS 24.229)."""
