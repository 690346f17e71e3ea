"""What the commands of the campaign read, written once."""

import pytest

from tests.faults.commands import write_inputs


@pytest.fixture(scope="package")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "inputs"
    write_inputs(folder)
    return folder
