"""What people type to install from this index and to upload to it. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.web.views import Command

NAME = "pypicloud"
_SETUP = {
    "pip": """\
pip config set global.index-url {index}
pip install --index-url {index} NAME""",
    "netrc": """\
machine {host}
login __token__
password pypi-TOKEN""",
    "uv": """\
[[tool.uv.index]]
name = "{name}"
url = "{index}"
publish-url = "{upload}"

# uv pip install --index {index} NAME
# uv publish --index {name} --token pypi-TOKEN""",
    "poetry": """\
poetry source add --priority=primary {name} {index}
poetry config http-basic.{name} __token__ pypi-TOKEN
poetry config repositories.{name} {upload}
poetry publish --build --repository {name}""",
    "pdm": """\
pdm config pypi.url {index}
pdm config pypi.username __token__
pdm config pypi.password pypi-TOKEN
pdm publish --repository {upload}""",
    "twine": """\
# ~/.pypirc
[distutils]
index-servers = {name}

[{name}]
repository = {upload}
username = __token__
password = pypi-TOKEN

# twine upload --repository {name} dist/*""",
    "CI": """\
PIP_INDEX_URL={index}
UV_INDEX_URL={index}
TWINE_REPOSITORY_URL={upload}
TWINE_USERNAME=__token__
TWINE_PASSWORD=pypi-TOKEN  # a secret of the CI system""",
}
"""Written into each tool's own configuration; a token's place says ``pypi-TOKEN``."""


def install(base: str, project: str, version: str | None) -> list[Command]:
    """Installing a project; ``version`` None: the newest."""
    pinned = project if version is None else f"{project}=={version}"
    poetry = project if version is None else f"{project}@{version}"
    index = f"{base}/simple/"
    return [
        Command(tool="pip", lines=(f"pip install --index-url {index} {pinned}",)),
        Command(tool="uv", lines=(f"uv add --index {NAME}={index} {pinned}",)),
        Command(
            tool="poetry",
            lines=(
                f"poetry source add --priority=explicit {NAME} {index}",
                f"poetry add --source {NAME} {poetry}",
            ),
        ),
        Command(
            tool="pdm",
            lines=(f"pdm config --local pypi.url {index}", f"pdm add {pinned}"),
        ),
    ]


def first(base: str) -> list[Command]:
    """The three commands of a newcomer: build, upload, install."""
    return [
        Command(tool="build", lines=("python -m build",)),
        Command(
            tool="twine",
            lines=(f"twine upload --repository-url {base}/legacy/ dist/*",),
        ),
        Command(tool="pip", lines=(f"pip install --index-url {base}/simple/ NAME",)),
    ]


def setup(base: str) -> list[Command]:
    """Every tool, told for good; tokens stand in the places where each tool keeps them."""
    values = {
        "index": f"{base}/simple/",
        "upload": f"{base}/legacy/",
        "host": urlsplit(base).hostname or "",
        "name": NAME,
    }
    return [
        Command(tool=tool, lines=tuple(line.format(**values) for line in lines.split("\n")))
        for tool, lines in _SETUP.items()
    ]
