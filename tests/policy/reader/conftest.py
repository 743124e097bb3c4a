"""What tests of a language model as the policy share: a base of a few thousand random weights."""

import pytest

from tests.support.once import filled_once
from tests.support.small_student import write_student


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """The folder of a student that knows nothing."""
    return str(filled_once(tmp_path_factory, "policy base", write_student))
