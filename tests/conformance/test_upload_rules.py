"""What an upload is answered (standards: 5.2, 5.3)."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance import markup
from tests.conformance.client import MULTIPART, claim, multipart, request
from tests.conformance.site import ADMIN, JSON, READER, Site, serving
from tests.factories import make_sdist, make_wheel

DOORS = ("/legacy/", "/legacy", "/", "/simple/", "/simple", "/pypi/", "/pypi")


@pytest.mark.parametrize("door", DOORS)
def test_upl_1_upl_2_every_door(site: Site, door: str) -> None:
    """At each URL, with and without slash, the answer is 200 and no redirect."""
    name = f"upl-2-{len(door)}-{door.strip('/')}x"
    site.publish(make_wheel(name), name, target=door)
    assert site.file(name)
    wrong = site.upload(make_wheel(name), name, auth=("admin", "wrong"), target=door)
    assert wrong.status == 401


def test_upl_3_the_same_again(site: Site) -> None:
    """The same file again is 200 and changes nothing, times and yanks included."""
    made = site.release("upl-3")
    site.manage("PATCH", "projects/upl-3/releases/1.0", b'{"yanked": "bad"}')
    before = site.detail("upl-3")
    keys = site.keys()
    for _ in range(3):
        site.publish(made, "upl-3")
    assert site.detail("upl-3") == before
    assert site.keys() == keys


def test_upl_4_other_bytes(site: Site) -> None:
    """Other bytes under the same name are 400 and say that the file already exists."""
    made = site.release("upl-4")
    answer = site.upload(make_wheel("upl-4", files={"x.py": b""}), "upl-4", auth=ADMIN)
    assert answer.status == 400
    assert answer.message.startswith("File already exists")
    assert "already exist" in answer.reason
    assert made.filename in answer.message
    assert site.get(site.location("upl-4")).body == made.content


def test_upl_5_digests(site: Site) -> None:
    """One digest is enough, each kind counts, capitals are fine; none, or a wrong one, is 400."""
    made = make_wheel("upl-5")
    digests = ("sha256_digest", "blake2_256_digest", "md5_digest")
    right = {**claim(made, "upl-5", "1.0"), "md5_digest": hashlib.md5(made.content).hexdigest()}
    assert site.refuse(made, "upl-5", without=digests) == "Include at least one message digest."
    for one in digests:
        length = len(right[one])
        for wrong in ("0" * length, right[one][:-1], "z" * length, right[one] + "0"):
            message = site.refuse(made, "upl-5", fields={one: wrong})
            assert "igest" in message
        assert site.page("upl-5").status == 404
    for one in digests:
        others = dict.fromkeys(digests, "")
        site.publish(made, "upl-5", fields={**others, one: right[one].upper()})


def test_upl_6_empty_is_absent(site: Site) -> None:
    """Empty fields and UNKNOWN are absent, unknown fields are read over."""
    made = make_wheel("upl-6")
    site.publish(made, "upl-6", fields={"author": "", "license": "UNKNOWN", "nonsense": "1",
                                        "md5_digest": "", "comment": "UNKNOWN"})  # fmt: skip
    assert "Python version" in site.refuse(made, "upl-6", fields={"pyversion": ""})
    assert "Python version" in site.refuse(made, "upl-6", fields={"pyversion": "UNKNOWN"})


def test_upl_8_names_and_versions_by_meaning(site: Site) -> None:
    """The form may spell name and version as twine does, or in full."""
    made = make_wheel("lab.Demo_pkg", "1.0rc1")
    for name in ("lab.Demo-pkg", "lab-demo-pkg", "LAB_DEMO.PKG"):
        for version in ("1.0rc1", "1.0-RC.1", "v1.0.0c1"):
            site.publish(made, name, version)


def test_upl_10_too_large(tmp_path: Path) -> None:
    """A file beyond the limit is 413 or 400 before it is all read, and leaves nothing."""
    with serving(tmp_path, MAX_FILE_SIZE="64KiB") as site:
        site.release("upl-10")
        before = site.keys()
        noise = random.Random(1).randbytes(200_000)
        for size in (70_000, 200_000):
            large = make_wheel("upl-10", "2.0", files={"x": noise[:size]})
            answer = site.upload(large, "upl-10", "2.0", auth=ADMIN)
            assert answer.status in (400, 413)
            assert "large" in answer.message
        huge = make_wheel("upl-10", "3.0", files={"x": noise})
        body = multipart(claim(huge, "upl-10", "3.0").items(), huge)
        announced = [*MULTIPART.items(), ("Content-Length", str(10 << 30))]
        with site.connect() as connection:
            connection.send(request("POST", "/legacy/", announced, body, auth=ADMIN))
            assert connection.answer().status == 413
        assert not list((tmp_path / "spool").iterdir())
        assert site.keys() == before


def test_upl_11_nothing_of_what_was_refused(site: Site) -> None:
    """A refused upload leaves no page, no key and no file, and does not burn its name."""
    before = site.keys()
    for made in (make_wheel("upl-11", dist_info={"WHEEL": b""}), make_sdist("upl-11", core=b"")):
        site.refuse(made, "upl-11")
        assert site.page("upl-11").status == 404
        assert site.get(f"/files/upl-11/{made.filename}").status == 404
    assert site.keys() == before
    assert not list((site.state / "spool").iterdir())
    site.release("upl-11")


def test_upl_12_at_the_same_time(site: Site) -> None:
    """The same file from eight clients is one row and eight times 200; ten files are ten rows."""
    made = make_wheel("upl-12", "1.0")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.upload(made, "upl-12", auth=ADMIN), range(8)))
        assert [answer.status for answer in answers] == [200] * 8
        assert site.file("upl-12")["hashes"]["sha256"] == made.sha256
        wheels = [make_wheel("upl-12", "2.0", build=str(number)) for number in range(10)]
        sent = list(pool.map(lambda one: site.upload(one, "upl-12", "2.0", auth=ADMIN), wheels))
    assert [answer.status for answer in sent] == [200] * 10
    assert len(site.detail("upl-12")["files"]) == 11


def test_upl_12_different_bytes_at_the_same_time(site: Site) -> None:
    """Of different bytes under one name one wins; the others are told so, and the page agrees."""
    wheels = [make_wheel("upl-12-race", files={f"m{n}.py": b"%d" % n}) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda one: site.upload(one, "upl-12-race", auth=ADMIN), wheels))
    assert sorted(answer.status for answer in sent) == [200] + [400] * 7
    winner = wheels[[answer.status for answer in sent].index(200)]
    assert site.get(site.location("upl-12-race")).body == winner.content
    assert site.file("upl-12-race")["hashes"]["sha256"] == winner.sha256


def test_upl_13_the_first_upload_makes_the_project(site: Site) -> None:
    """Nothing has to be registered before; the name is shown as its metadata spells it."""
    site.release("Upl.13")
    root = site.get("/simple/", {"Accept": "text/html"})
    assert "upl-13/" in [anchor.href for anchor in markup.read(root.body).anchors]
    assert site.get("/pypi/upl-13/json").json()["info"]["name"] == "Upl.13"


def test_upl_14_upl_15_refusals_say_why(site: Site) -> None:
    """The reason stands in the JSON, under exactly application/json, and in the status line."""
    made = make_wheel("upl-14")
    accept = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"
    answer = site.upload(
        made, "upl-14", auth=ADMIN, fields={"version": "9"}, headers={"Accept": accept}
    )
    assert answer.status == 400
    assert answer.header("content-type") == "application/json"
    assert answer.json()["code"] == f"400 {answer.message}"
    assert answer.reason == answer.message == "Version in filename should be '9' not '1.0'."


@pytest.mark.parametrize("door", DOORS)
def test_upl_16_who_may(site: Site, closed: Site, door: str) -> None:
    """401 with a challenge without or with bad credentials, 403 without permission."""
    made = make_wheel("upl-16")
    for auth in (None, ("admin", "wrong"), ("nobody", "x"), ("", ""), ("__token__", "pypi-x"),
                 ("admin", ""), ("\u00e9", "\u00e9" * 300)):  # fmt: skip
        answer = site.upload(made, "upl-16", auth=auth, target=door)
        assert answer.status == 401, auth
        assert (answer.header("www-authenticate") or "").startswith('Basic realm="')
    answer = site.upload(made, "upl-16", auth=READER, target=door)
    assert answer.status == 403
    assert "upl-16" in answer.message
    assert closed.upload(made, "upl-16", auth=READER, target=door).status == 403
    assert site.page("upl-16").status == 404


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic ", "Basic !!!", "Basic YWRtaW4=", "Basic Og==", "Bearer x", "Digest a=b",
     "Basic " + "A" * 20_000, "Basic /////w==", "basic YTpi", "Basic  YTpi", "x", "\xff"],
)  # fmt: skip
def test_upl_16_malformed_credentials(site: Site, value: str) -> None:
    """Credentials that cannot be read are 401 (or 400), never an error of ours."""
    made = make_wheel("upl-16")
    answer = site.upload(made, "upl-16", auth=None, headers={"Authorization": value})
    assert answer.status in (400, 401)


@pytest.mark.parametrize("door", ["/legacy/", "/legacy"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET", "HEAD"])
def test_upl_16_other_methods(site: Site, door: str, method: str) -> None:
    """At the upload URL every other method is 405, and says what is allowed (UPL-19: GET too)."""
    answer = site.ask(method, door, auth=ADMIN)
    assert answer.status == 405
    assert "POST" in (answer.header("allow") or "")


def test_upl_17_the_refusal_is_read(site: Site) -> None:
    """A client that sends all before it reads gets the 401 of a large upload."""
    made = make_wheel("upl-17", files={"x": random.Random(2).randbytes(8 << 20)})
    for auth, status in ((None, 401), (("admin", "wrong"), 401), (READER, 403)):
        assert site.upload(made, "upl-17", auth=auth).status == status


def test_upl_19_former_actions(site: Site) -> None:
    """Actions of former times are gone, others unknown; GET is no error of ours."""
    made = make_wheel("upl-19")
    for action in ("submit", "submit_pkg_info", "doc_upload"):
        answer = site.upload(made, "upl-19", auth=ADMIN, fields={":action": action})
        assert answer.status == 410
        assert answer.message
    assert ":action" in site.refuse(made, "upl-19", fields={":action": "list_classifiers"})
    assert ":action" in site.refuse(made, "upl-19", without=[":action"])
    site.publish(made, "upl-19", without=[":action"], target="/legacy/?:action=file_upload")
    assert site.get("/legacy/?:action=list_classifiers").status < 500


def test_upl_19_protocol_version(site: Site) -> None:
    """Version 1, or none said; nothing else."""
    made = make_wheel("upl-19-v")
    site.publish(made, "upl-19-v", without=["protocol_version"])
    for other in ("2", "1.0", "x"):
        message = site.refuse(made, "upl-19-v", fields={"protocol_version": other})
        assert message == "Unknown protocol version."


def test_upl_20_attestations(site: Site) -> None:
    """Attestations, which nothing here verifies, are refused or let go, and never shown."""
    for number, value in enumerate(("[]", "[{}]", "nonsense", '[{"version": 1}]')):
        name = f"upl-20-{number}"
        made = make_wheel(name)
        answer = site.upload(made, name, auth=ADMIN, fields={"attestations": value})
        assert answer.status in (200, 400)
        if answer.status == 200:
            assert site.file(name).get("provenance") is None


def test_upl_21_hatch_looks_for_what_is_there(site: Site, closed: Site) -> None:
    """Below the upload URL hatch finds an HTML page of what is uploaded, or 404."""
    made = site.release("upl-21")
    for spelling in ("%2Bsimple", "+simple"):
        page = site.get(f"/legacy/{spelling}/upl-21/", {"Accept": "*/*"}, auth=ADMIN)
        assert page.status == 200
        (anchor,) = markup.read(page.body).anchors
        assert anchor.text == made.filename
        assert site.get(page.resolve(anchor.href)).body == made.content
        assert site.get(f"/legacy/{spelling}/upl-21-absent/", auth=ADMIN).status == 404


def test_upl_22_closed_projects(site: Site) -> None:
    """Archived and quarantined projects refuse with 403 and a text, the same file too."""
    made = site.release("upl-22")
    for status in ("archived", "quarantined"):
        site.manage("PATCH", "projects/upl-22", b'{"status": "%s"}' % status.encode())
        answer = site.upload(make_wheel("upl-22", "2.0"), "upl-22", "2.0", auth=ADMIN)
        assert answer.status == 403
        assert status in answer.message
        again = site.upload(made, "upl-22", auth=ADMIN)
        assert again.status in (200, 403)


def test_upl_23_old_releases_take_files(site: Site) -> None:
    """A release takes more files whenever they come."""
    site.release("upl-23")
    site.release("upl-23", "2.0")
    site.publish(make_sdist("upl-23", "1.0"), "upl-23", "1.0")


def test_upl_24_expect_chunks_and_no_length(site: Site) -> None:
    """100-continue, and a chunked body without length, work."""
    made = make_wheel("upl-24")
    body = multipart(claim(made, "upl-24", "1.0").items(), made)
    expecting = [*MULTIPART.items(), ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", expecting, auth=ADMIN))
        assert connection.line().startswith("HTTP/1.1 100 ")
        assert connection.line() == ""
        connection.send(body)
        assert connection.answer().status == 200
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 777]), body[at : at + 777])
        for at in range(0, len(body), 777)
    )
    chunked = [*MULTIPART.items(), ("Transfer-Encoding", "chunked")]
    answer = site.ask("POST", "/legacy/", chunked, chunks + b"0\r\n\r\n", auth=ADMIN)
    assert answer.status == 200
    assert site.file("upl-24")["hashes"]["sha256"] == made.sha256


def test_upl_24_expect_without_right(site: Site) -> None:
    """Who may not upload is told so at once, and never told to go on."""
    expecting = [*MULTIPART.items(), ("Expect", "100-continue"), ("Content-Length", "100000000")]
    for auth, status in ((None, 401), (("admin", "wrong"), 401)):
        with site.connect() as connection:
            connection.send(request("POST", "/legacy/", expecting, auth=auth))
            assert connection.line().startswith(f"HTTP/1.1 {status} ")


MESSAGES = {
    "Unknown protocol version.": {"protocol_version": "9"},
    "Use a known file type.": {"filetype": "bdist_egg"},
    "Python version is required for binary distribution uploads.": {"pyversion": ""},
}


def test_5_3_messages(site: Site) -> None:
    """The messages that people know from PyPI."""
    made = make_wheel("msg")
    for message, fields in MESSAGES.items():
        assert site.refuse(made, "msg", fields=fields) == message
    message = site.refuse(make_sdist("msg"), "msg", fields={"pyversion": "py3"})
    assert message == "Use 'source' as Python version for an sdist."
    message = site.refuse(made, "msg", fields={"sha256_digest": "zz"})
    assert message.endswith("Use a valid, hex-encoded, SHA256 message digest.")
    message = site.refuse(made, "msg", fields={"sha256_digest": "0" * 64})
    assert message.startswith("The digest supplied does not match a digest calculated from")
    message = site.refuse(made, "msg", without=["content"])
    assert message == "Upload payload does not have a file."


def test_nothing_is_created_by_reading(site: Site) -> None:
    """P8: no GET, HEAD or OPTIONS of anything changes the storage or the serial."""
    site.release("upl-read")
    keys = site.keys()
    serial = site.get("/simple/", {"Accept": JSON}).header("x-pypi-last-serial")
    for target in (*DOORS, "/api/v1/projects", "/api/v1/reindex", "/api/v1/projects/upl-read",
                   "/admin/rebuild", "/acct/logout", "/docs", "/health/ready"):  # fmt: skip
        for method in ("GET", "HEAD", "OPTIONS"):
            assert site.ask(method, target, auth=ADMIN).status < 500
    assert site.keys() == keys
    assert site.get("/simple/", {"Accept": JSON}).header("x-pypi-last-serial") == serial
