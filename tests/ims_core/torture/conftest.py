"""The verdicts assert in a module of their own: their failures are to be told in full as well."""

import pytest

pytest.register_assert_rewrite("tests.ims_core.torture.lab")
