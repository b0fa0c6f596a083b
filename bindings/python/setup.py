"""Names the wheel: any Python 3, no extension module, but a library for one platform.

Everything else stands in pyproject.toml. ``build_wheel.sh`` puts the library into the package and
sets ``ADMISSION_WHEEL_PLATFORM`` to the tag that the library's own needs allow.
"""

import os

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class PlatformDistribution(Distribution):
    """A distribution that belongs into the platform's folder although nothing is compiled."""

    def has_ext_modules(self):
        return True


class PlatformWheel(bdist_wheel):
    """A wheel for every Python 3 on one platform."""

    def get_tag(self):
        _, _, platform = super().get_tag()
        return "py3", "none", os.environ.get("ADMISSION_WHEEL_PLATFORM", platform)


setup(distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
