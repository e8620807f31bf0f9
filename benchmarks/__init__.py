"""What ims-acd costs next to its peers, measured side by side: run ``python -m benchmarks``."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as a media worker has it; numpy looks at it when it is imported
