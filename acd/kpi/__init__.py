"""Key figures (KPI-1): each defined once, computed from what one pass over the event log counts."""
