"""What is to be cited has the version of the package."""

import yaml

from mmrsir import __version__

from .helpers.commands import ROOT


def test_version_is_that_of_the_package():
    assert yaml.safe_load((ROOT / 'CITATION.cff').read_text())['version'] == __version__
