from __future__ import annotations

import pytest

from attest_samples import Sample, make_sample, plain
from dataguard.attest import attest


@pytest.fixture(scope="session")
def attested(tmp_path_factory) -> Sample:
    """A data set whose run is signed; not to be changed."""
    sample = make_sample(tmp_path_factory.mktemp("attested"))
    attest(sample.run, sample.key, recompute=plain)
    return sample


@pytest.fixture
def sample(attested, tmp_path) -> Sample:
    """A copy of it, to be damaged."""
    return attested.copy(tmp_path)
