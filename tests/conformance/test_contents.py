"""What files may hold (standards: 4.2)."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.conformance.site import Site
from tests.factories import Made, make_sdist, make_wheel, metadata, tarred, zipped
from tests.upload.inspection.test_sound import BACKENDS, BUILD, project

WHEEL_FILE = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_cnt_1_what_backends_build(site: Site, tmp_path: Path, backend: str) -> None:
    """The wheel and the sdist of each common build backend go through strict, and come back."""
    module, requirement = BACKENDS[backend]
    source, built = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    built.mkdir()
    project(source, module, requirement)
    name = f"real-{backend}"
    pyproject = source / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace('name = "real-demo"', f'name = "{name}"').replace(
            "[project.scripts]", _tables(backend) + "[project.scripts]"
        )
    )  # fmt: skip
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for hook in ("build_wheel", "build_sdist"):
        command = [sys.executable, "-W", "ignore", "-c", BUILD, module, hook, str(built)]
        done = subprocess.run(
            command, cwd=source, env=environ, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
    paths = sorted(built.iterdir())
    assert len(paths) == 2
    for path in paths:
        made = Made(path.name, path.read_bytes())
        site.publish(made, name)
        assert site.get(site.location(name, made.filename)).body == made.content
        assert site.file(name, made.filename)["requires-python"] == ">=3.9"


def _tables(backend: str) -> str:
    """Where the package is, for a project that is not named after it."""
    return {
        "hatchling": '[tool.hatch.build.targets.wheel]\npackages = ["src/real_demo"]\n',
        "flit": '[tool.flit.module]\nname = "real_demo"\n',
        "poetry": '[tool.poetry]\npackages = [{include = "real_demo", from = "src"}]\n',
        "uv": '[tool.uv.build-backend]\nmodule-name = "real_demo"\n',
    }.get(backend, "")


def test_cnt_1_the_shape_that_maturin_makes(site: Site) -> None:
    """A compiled wheel with SBOMs, licences and several tags, its module a directory."""
    name = "cnt-maturin"
    headers = [
        ("License-File", "LICENSE"),
        ("License-Expression", "MIT OR Apache-2.0"),
        ("Classifier", "Programming Language :: Rust"),
        ("Project-URL", "Source Code, https://code.example/x"),
        ("Description-Content-Type", "text/markdown; charset=UTF-8; variant=GFM"),
    ]
    made = make_wheel(
        name,
        tag="cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
        files={"cnt_maturin/__init__.py": b"", "cnt_maturin/cnt_maturin.abi3.so": b"\x7fELF" * 99},
        dist_info={"licenses/LICENSE": b"MIT", "sboms/cnt.cyclonedx.json": b"{}"},
        headers=headers,
        description="# Hello\n",
    )
    site.publish(made, name)


@pytest.mark.parametrize("member", ["METADATA", "WHEEL", "RECORD"])
def test_cnt_1_cnt_2_members_that_must_be(site: Site, member: str) -> None:
    """Without METADATA, WHEEL or RECORD it is no wheel."""
    members = {"cnt.py": b"", "cnt-1.0.dist-info/METADATA": metadata("cnt", "1.0"),
               "cnt-1.0.dist-info/WHEEL": WHEEL_FILE,
               "cnt-1.0.dist-info/RECORD": b"cnt.py,,\n"}  # fmt: skip
    del members[f"cnt-1.0.dist-info/{member}"]
    message = site.refuse(Made("cnt-1.0-py3-none-any.whl", zipped(members)), "cnt")
    assert message.startswith("Invalid distribution file. ")
    assert member in message


def test_cnt_3_wheel_version_two(site: Site) -> None:
    """A wheel of a version to come is refused."""
    made = make_wheel("cnt", dist_info={"WHEEL": WHEEL_FILE.replace(b"1.0", b"2.0", 1)})
    assert "Wheel-Version" in site.refuse(made, "cnt")


def test_cnt_6_sdists_need_pkg_info(site: Site) -> None:
    """An sdist has one top directory, with PKG-INFO."""
    for members in ({"cnt-1.0/setup.py": b""}, {"PKG-INFO": metadata("cnt", "1.0")},
                    {"cnt-1.0/PKG-INFO": metadata("cnt", "1.0"), "other/x": b""}):  # fmt: skip
        message = site.refuse(Made("cnt-1.0.tar.gz", tarred(members)), "cnt")
        assert message.startswith("Invalid distribution file. ")


def test_cnt_7_license_files(site: Site) -> None:
    """With 2.4 a License-File must be there; before it need not."""
    headers = [("License-File", "LICENSE.txt")]
    for make in (make_wheel, make_sdist):
        message = site.refuse(make("cnt-7", headers=headers), "cnt-7")
        assert message.startswith("License-File 'LICENSE.txt' does not exist in distribution file")
    older = metadata("cnt-7", "1.0", metadata_version="2.1", headers=headers)
    site.publish(make_wheel("cnt-7", core=older), "cnt-7", fields={"metadata_version": "2.1"})
    there = make_wheel("cnt-7", "2.0", headers=headers, dist_info={"licenses/LICENSE.txt": b"MIT"})
    site.publish(there, "cnt-7", "2.0")
    site.publish(
        make_sdist("cnt-7", "2.0", headers=headers, files={"LICENSE.txt": b"MIT"}), "cnt-7", "2.0"
    )


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ([("License-Expression", "Nonsense-9")], "License-Expression"),
        ([("License-Expression", "MIT"), ("License", "MIT")], "License"),
        ([("Requires-Python", ">=3.8.*,<bogus")], "Requires-Python"),
        ([("Requires-Dist", "not a requirement!")], "Requires-Dist"),
        ([("Requires-Dist", "a; " + " and ".join(["os_name=='x'"] * 9000))], "Requires-Dist"),
        ([("Requires-Dist", "a; " + "(" * 5000 + "os_name=='x'" + ")" * 5000)], "Requires-Dist"),
        ([("Provides-Extra", "-bad-")], "Provides-Extra"),
        ([("Dynamic", "Name")], "Dynamic"),
        ([("Dynamic", "Version")], "Dynamic"),
        ([("Dynamic", "Nonsense")], "Dynamic"),
        ([("Author-email", "nobody")], "Author-[Ee]mail"),
        ([("Project-URL", f"{'l' * 33}, https://x.example/")], "Project-URL"),
        ([("Project-URL", "no url here")], "Project-URL"),
        ([("Description-Content-Type", "text/troff")], "Description-Content-Type"),
        ([("Description-Content-Type", "text/markdown; variant=Other")], "Description"),
        ([("Classifier", "No :: Such :: Thing")], "Classifier"),
        ([("Import-Name", "not a name!")], "Import-Name"),
        ([("Summary", "again")], "Summary|more than one"),
    ],
)  # fmt: skip
def test_cnt_8_cnt_9_cnt_10_cnt_11_bad_fields(
    site: Site, importing: Site, headers: list[tuple[str, str]], field: str
) -> None:
    """Strict names the field that is not valid; import does not mind."""
    version = "2.5" if field == "Import-Name" else "2.4"
    core = metadata("cnt-9", "1.0", metadata_version=version, headers=headers)
    made = make_wheel("cnt-9", core=core)
    assert re.search(field, site.refuse(made, "cnt-9"))
    other = f"cnt-9-{zlib.crc32(core)}"
    core = metadata(other, "1.0", metadata_version=version, headers=headers)
    importing.publish(make_wheel(other, core=core), other)
    assert importing.page(other, "text/html").status == 200
    assert importing.get(f"/pypi/{other}/json").status == 200


def test_cnt_9_summary_of_513_characters(site: Site) -> None:
    """A summary has 512 characters at most."""
    site.publish(make_wheel("cnt-9-summary", summary="s" * 512), "cnt-9-summary")
    made = make_wheel("cnt-9-summary", "2.0", summary="s" * 513)
    assert "Summary" in site.refuse(made, "cnt-9-summary", "2.0")


def test_cnt_9_good_fields(site: Site) -> None:
    """Everything that the core metadata knows, used well, is taken."""
    headers = [
        ("License-Expression", "MIT AND (Apache-2.0 OR BSD-3-Clause)"),
        ("Requires-Dist", 'requests[socks]>=2; python_version < "3.13" and extra == "Some_Extra"'),
        ("Requires-Dist", "direct @ https://code.example/direct-1.0.tar.gz"),
        ("Provides-Extra", "some-extra"),
        ("Provides-Extra", "Old_Extra"),
        ("Author-email", "Jos\u00e9 <jose@mail.example>, second@mail.example"),
        ("Maintainer-email", "someone@mail.example"),
        ("Project-URL", "Homepage, https://www.example/"),
        ("Project-URL", "Bug Tracker, https://bugs.example/?a=b,c"),
        ("Classifier", "Private :: Do Not Upload"),
        ("Classifier", "Programming Language :: Python :: 3"),
        ("Keywords", "a,b c"),
        ("Platform", "any"),
        ("Import-Name", "cnt_good"),
        ("Import-Name", "cnt_good._private ; private"),
        ("Import-Namespace", "cnt"),
    ]
    core = metadata("cnt-good", "1.0", metadata_version="2.5", headers=headers)
    site.publish(make_wheel("cnt-good", core=core), "cnt-good")


def test_cnt_10_descriptions_are_not_rendered(site: Site) -> None:
    """A description that is hard to render costs nothing at upload, and is kept as it is."""
    evil = ">" * 50_000
    made = make_wheel(
        "cnt-10", headers=[("Description-Content-Type", "text/markdown")], description=evil
    )
    site.publish(made, "cnt-10")
    assert site.get("/pypi/cnt-10/json").json()["info"]["description"].strip() == evil


def test_cnt_11_cnt_12_private_classifiers_and_direct_urls(site: Site) -> None:
    """What keeps a project private, or needs a private index, is taken."""
    headers = [("Classifier", "Private :: Anything"),
               ("Requires-Dist", "x @ git+https://git.example/x.git@v1")]  # fmt: skip
    site.publish(make_wheel("cnt-11", headers=headers), "cnt-11")


@pytest.mark.parametrize(
    "content",
    [b"[console_scripts\na = b:c\n", b"[console_scripts]\nbad name! = b:c\n", b"\xff\xfe",
     b"[console_scripts]\n../../x = b:c\n", b"[gui_scripts]\na/b = c:d\n", b"no section\n"],
)  # fmt: skip
def test_cnt_13_entry_points(site: Site, content: bytes) -> None:
    """entry_points.txt is INI, and scripts have names that can be files."""
    made = make_wheel("cnt-13", dist_info={"entry_points.txt": content})
    assert "entry_points.txt" in site.refuse(made, "cnt-13")


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"])
def test_cnt_14_metadata_versions(site: Site, importing: Site, version: str) -> None:
    """Every version of the metadata that there is, is taken, in wheels and sdists."""
    name = f"cnt-14-{version.replace('.', '-')}"
    core = metadata(name, "1.0", metadata_version=version)
    for one in (site, importing):
        for made in (make_wheel(name, core=core), make_sdist(name, core=core)):
            one.publish(made, name, fields={"metadata_version": version})


@pytest.mark.parametrize("version", ["2.0", "3.0", "2.7", "1.3", "0.9", "2", "two", ""])
def test_cnt_14_other_versions(site: Site, importing: Site, version: str) -> None:
    """2.0 passes import alone, others nowhere; and again the form has no say."""
    core = metadata("cnt-14", "1.0", metadata_version=version)
    made = make_wheel("cnt-14", core=core)
    assert "Metadata-Version" in site.refuse(made, "cnt-14", fields={"metadata_version": "2.4"})
    if version == "2.0":
        importing.publish(made, "cnt-14", fields={"metadata_version": "2.0"})
    else:
        assert "Metadata-Version" in importing.refuse(made, "cnt-14")


def test_cnt_15_the_file_is_the_truth(site: Site) -> None:
    """What the form says of summary, requirements and metadata version is not believed."""
    made = make_wheel("cnt-15", summary="From the file", requires_python=">=3.11")
    fields = {"summary": "From the form", "requires_python": ">=2", "metadata_version": "2.3",
              "license": "Form", "author": "Form", "description": "Form"}  # fmt: skip
    site.publish(made, "cnt-15", fields=fields)
    assert site.file("cnt-15")["requires-python"] == ">=3.11"
    described = site.get("/pypi/cnt-15/json").json()["info"]
    assert described["summary"] == "From the file"
    assert described["requires_python"] == ">=3.11"
    assert "Form" not in (described["license"], described["author"], described["description"])


def test_nam_5_inside_and_outside_agree(site: Site, importing: Site) -> None:
    """Name and version inside are those of the filename and the form, in both profiles."""
    for one in (site, importing):
        for make in (make_wheel, make_sdist):
            wrong_name = make("nam-5", core=metadata("other", "1.0"))
            assert "'other'" in one.refuse(wrong_name, "nam-5")
            wrong_version = make("nam-5", core=metadata("nam-5", "2.0"))
            assert "'2.0'" in one.refuse(wrong_version, "nam-5")
