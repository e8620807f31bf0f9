"""The engine's side of the media workers: started, watched, replaced, and spoken to."""
