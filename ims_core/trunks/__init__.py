"""Named SIP peers that lead to other networks: their servers, registrations towards them, numbers and routes."""
