import pytest

from datasets.freezing.versions import freeze
from tests.performance.drift.made import sensor
from tests.tables import make_table
from tests.world import make_version


@pytest.fixture
def trained(owner):
    """A version that learned from 3,000 rows of a machine."""
    rows = sensor(1, 3000)
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"failure": [0, 1] * 1500}
    data = freeze(make_table(owner, "Machines", [columns]), owner)
    return make_version(owner, "Machines", recipe="table-baseline", dataset_version=data)


@pytest.fixture
def version(owner):
    """A version whose training data can't be laid beside its inputs."""
    return make_version(owner, "Sorter", recipe="table-baseline")
