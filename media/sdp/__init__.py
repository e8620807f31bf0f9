"""Session descriptions, and offer and answer."""
