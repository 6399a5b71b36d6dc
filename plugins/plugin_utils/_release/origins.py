# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the origins of code and packages in a source and in the variables of asgi_app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, check_requirement
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import VARIABLES, SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import (
    REMEDY,
    described,
    insecure_environment,
    insecure_urls,
)

BUILD_ENVIRONMENT = "asgi_app_build_env"


class Origins(NamedTuple):
    """The variables that set requirements and indexes, and whether insecure transports are allowed."""

    requirements: Mapping[str, Sequence[str]]
    index_url: str | None
    build_environment: Mapping[str, str]
    insecure: bool
    python_mirror: str | None = None

    def check(self, source: Resolved) -> None:
        """Raise SourceError for the first fault in the variables or in the files of *source*."""
        for fault in self._faults(source):
            raise fault

    def faults(self, source: Resolved | None) -> list[SourceError]:
        """Return the faults in the variables and in the files of *source*."""
        return list(self._faults(source))

    def _faults(self, source: Resolved | None) -> Iterator[SourceError]:
        for variable, requirements in self.requirements.items():
            for requirement in requirements:
                yield from self._of_requirement(variable, requirement)
        if self.insecure:
            insecure_variables = []
        else:
            insecure_variables = list(insecure_environment(self.build_environment))
            addresses = {"asgi_app_index_url": self.index_url, "asgi_app_python_mirror": self.python_mirror}
            for variable, address in addresses.items():
                if urls := insecure_urls(address or ""):
                    yield _insecure(variable, f"is at {described(urls)}")
        for name, effect in insecure_variables:
            yield _insecure(BUILD_ENVIRONMENT, f"has {name}, which {effect}")
        if source is not None:
            variable = VARIABLES[source.kind]
            if source.insecure and not self.insecure:
                yield _insecure(variable, f"has packages from {described(source.insecure)}")
            yield from self._of_expansion(variable, source.expanded)

    def _of_requirement(self, variable: str, requirement: str) -> Iterator[SourceError]:
        try:
            declared = check_requirement(requirement)
        except Refused as exc:
            yield SourceError(
                "requirement-refused", variable, f"has {mask_urls(requirement)!r}: it {exc.fault}", exc.remedy
            )
            return
        if declared.insecure and not self.insecure:
            yield _insecure(variable, f"has {mask_urls(requirement)!r}")
        yield from self._of_expansion(variable, declared.variables)

    def _of_expansion(self, variable: str, names: Sequence[str]) -> Iterator[SourceError]:
        unknown = [name for name in names if name not in self.build_environment]
        if unknown:
            fault = (
                f"has requirements with the environment variable {described(unknown)}, not set in {BUILD_ENVIRONMENT}"
            )
            remedy = "set it there if the index may receive its value, because uv and pip expand it"
            yield SourceError("requirement-variable-unset", variable, fault, remedy)


def _insecure(variable: str, fault: str) -> SourceError:
    return SourceError(
        "transport-insecure", variable, f"{fault}, but the transport does not authenticate the server", REMEDY
    )
