"""Small real projects: sources for the clients that build, files for those that only send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.factories import Made, escape, make_sdist, make_wheel

EPOCH = 1_577_836_800
"""2020-01-01, for clients that build: the same sources give the same bytes."""

PYPROJECT = """\
[build-system]
requires = {requires}
build-backend = "{backend}"

[project]
name = "{name}"
version = "{version}"
description = "The project {name}"
readme = "README.md"
requires-python = ">=3.11"
license = "MIT"
license-files = ["LICENSE"]
authors = [{{ name = "Zoë Ñandú", email = "zoe@example.com" }}]
keywords = ["end", "to", "end"]
classifiers = ["Private :: Do Not Upload", "Programming Language :: Python :: 3"]
dependencies = []

[project.urls]
Homepage = "https://home.example/"

[project.scripts]
{module} = "{module}:main"

[tool.flit.module]
name = "{module}"
"""

README = "# A project\n\nIts readme, with ünïcödé.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of a project; ``code`` is its only module, named as the project."""

    name: str
    version: str = "1.0"
    code: str = "def main() -> None:\n    print('hello')\n"
    requires: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requires_python: str | None = None

    @property
    def module(self) -> str:
        """The import name, also the name's spelling in filenames."""
        return escape(self.name)

    def wheel(self) -> Made:
        """The wheel."""
        return make_wheel(
            self.name,
            self.version,
            files=self.modules,
            requires_python=self.requires_python,
            headers=self.headers,
        )

    def sdist(self) -> Made:
        """The sdist."""
        return make_sdist(
            self.name,
            self.version,
            files=self.modules,
            requires_python=self.requires_python,
            headers=self.headers,
        )

    @property
    def modules(self) -> dict[str, bytes]:
        """What is installed, by path."""
        return {f"{self.module}.py": f'"""A module."""\n{self.code}'.encode()}

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the core metadata says beside name and version."""
        headers = [("Author", "Zoë Ñandú"), ("Classifier", "Private :: Do Not Upload")]
        headers += [("Requires-Dist", requirement) for requirement in self.requires]
        for extra, requirements in self.extras.items():
            headers.append(("Provides-Extra", extra))
            headers += [("Requires-Dist", f'{one} ; extra == "{extra}"') for one in requirements]
        return headers

    def write_sources(self, folder: Path, backend: str, *requires: str) -> Path:
        """Write what ``backend`` builds, a package below ``src``; returns the folder."""
        package = folder / "src" / self.module
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f'"""A module."""\n{self.code}')
        (folder / "README.md").write_text(README)
        (folder / "LICENSE").write_text("MIT License\n")
        (folder / "pyproject.toml").write_text(
            PYPROJECT.format(
                requires=list(requires),
                backend=backend,
                name=self.name,
                version=self.version,
                module=self.module,
            )
        )
        return folder

    def write(self, folder: Path) -> Path:
        """Write sources for flit, and wheel and sdist to ``dist``; returns the folder."""
        self.write_sources(folder, "flit_core.buildapi", "flit-core>=4")
        (folder / "dist").mkdir()
        for made in (self.wheel(), self.sdist()):
            (folder / "dist" / made.filename).write_bytes(made.content)
        return folder
