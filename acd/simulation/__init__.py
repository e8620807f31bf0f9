"""The very engine's distributor on a virtual clock: `ims-acd simulate` (ACD-6)."""
