"""slapd with a tree of its own: people, groups, and a corner like Active Directory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ldap
import trustme

from tests.servers.running import Running, launch, own, shared

PACKAGES = "slapd ldap-utils"
"""The Debian packages that have the server."""
SUFFIX = "dc=example,dc=org"
ROOT = (f"cn=root,{SUFFIX}", "the root of all trees")
SERVICE = (f"cn=pypicloud,ou=services,{SUFFIX}", "a secret of the service")
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
DIRECTORY = f"ou=directory,{SUFFIX}"
"""Where entries are as Active Directory has them."""
PASSWORD = "a fine long passphrase"

# The attributes are those of Active Directory by name and number.
_SCHEMA = """
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl'
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP inetOrgPerson STRUCTURAL
  MUST sAMAccountName MAY ( userPrincipalName $ userAccountControl ) )
"""

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include {folder}/directory.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
suffix "{suffix}"
rootdn "{root}"
rootpw "{password}"
directory {folder}/tree
maxsize 67108864
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=services,{suffix}" by * auth
access to * by dn.exact="{service}" read by anonymous auth by * none
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
"""


@dataclass(frozen=True, slots=True)
class LdapServer:
    """How to reach it; ``ca_file`` vouches for its certificate, whose name is 127.0.0.1."""

    running: Running

    @property
    def ca_file(self) -> Path:
        """A PEM file."""
        return Path(self.running.folder) / "ca.pem"

    @property
    def port(self) -> int:
        """For ldap:// and StartTLS."""
        return self.running.ports["ldap"]

    @property
    def url(self) -> str:
        """In the clear."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """With TLS from the first byte."""
        return f"ldaps://127.0.0.1:{self.running.ports['ldaps']}"


def start_slapd(folder: Path) -> Running:
    """A server with the tree."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(folder / "cert.pem", append=True)
    (folder / "tree").mkdir()
    (folder / "directory.schema").write_text(_SCHEMA)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder, suffix=SUFFIX, root=ROOT[0], password=ROOT[1], service=SERVICE[0]
        )
    )
    running = launch(
        folder,
        ["ldap", "ldaps"],
        lambda ports: [
            *(_binary(), "-f", configuration, "-d", "0", "-h"),
            f"ldap://127.0.0.1:{ports['ldap']} ldaps://127.0.0.1:{ports['ldaps']}",
        ],
        lambda ports: _answers(ports["ldap"]),
    )
    _plant(running.ports["ldap"])
    return running


def server() -> LdapServer:
    """The one of this run."""
    return LdapServer(shared("slapd", start_slapd))


@contextmanager
def own_server(folder: Path) -> Iterator[LdapServer]:
    """One of a test's own."""
    folder.mkdir(exist_ok=True)
    with own(start_slapd, folder) as running:
        yield LdapServer(running)


def _binary() -> str:
    found = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/local/sbin:/usr/libexec")
    if found is None:
        raise AssertionError(f"Tests need slapd (Debian: apt-get install {PACKAGES}).")
    return found


def _answers(port: int) -> None:
    connection = ldap.initialize(f"ldap://127.0.0.1:{port}")
    try:
        connection.simple_bind_s(*ROOT)
    except ldap.SERVER_DOWN as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.unbind_ext_s()


def _plant(port: int) -> None:
    # memberOf is kept for what comes over the wire, not for what slapadd loads.
    subprocess.run(
        ["ldapadd", "-x", "-H", f"ldap://127.0.0.1:{port}", "-D", ROOT[0], "-w", ROOT[1]],
        input=_tree(),
        text=True,
        check=True,
        capture_output=True,
    )


def _tree() -> str:
    entries = [
        _entry(SUFFIX, "dcObject organization", dc="example", o="Example"),
        *(
            _entry(f"ou={unit},{SUFFIX}", "organizationalUnit", ou=unit)
            for unit in ("services", "people", "groups", "unique", "posix", "directory")
        ),
        _entry(
            SERVICE[0],
            "organizationalRole simpleSecurityObject",
            cn="pypicloud",
            userPassword=SERVICE[1],
        ),
        *(_person(name) for name in ("alice", "bob", "carol", "dev+ops")),
        _person("dora", employeeType="Site Admin"),
        _person("twin"),
        _entry(f"ou=annex,{PEOPLE}", "organizationalUnit", ou="annex"),
        _person("twin", below=f"ou=annex,{PEOPLE}"),
        _account("alice", "Alice Liddell", control="512"),
        _account("bob", "Bob, Disabled", control="514"),
        *_groups(),
    ]
    return "\n".join(entries)


def _groups() -> list[str]:
    alice, bob, carol = (f"uid={name},{PEOPLE}" for name in ("alice", "bob", "carol"))
    web, all_of_it = f"cn=Web Team,{GROUPS}", f"cn=everything,{GROUPS}"
    liddell = f"cn=Alice Liddell,{DIRECTORY}"
    return [
        _entry(web, "groupOfNames", cn="Web Team", member=[alice, carol]),
        _entry(f"cn=admins,{GROUPS}", "groupOfNames", cn="admins", member=bob),
        _entry(f"cn=développeurs,{GROUPS}", "groupOfNames", cn="développeurs", member=alice),
        _entry(all_of_it, "groupOfNames", cn="everything", member=web),
        # Two that hold one another.
        _entry(f"cn=ring,{GROUPS}", "groupOfNames", cn="ring", member=[all_of_it, SUFFIX]),
        f"dn: {all_of_it}\nchangetype: modify\nadd: member\nmember: cn=ring,{GROUPS}\n",
        _entry(
            f"cn=unique,ou=unique,{SUFFIX}",
            "groupOfUniqueNames",
            cn="unique",
            uniqueMember=[alice, bob],
        ),
        _entry(
            f"cn=posix,ou=posix,{SUFFIX}",
            "posixGroup",
            cn="posix",
            gidNumber="100",
            memberUid=["alice", "dora"],
        ),
        _entry(f"cn=Packagers,{DIRECTORY}", "groupOfNames", cn="Packagers", member=liddell),
    ]


def _person(name: str, *, below: str = PEOPLE, **more: str) -> str:
    escaped = name.replace(",", "\\,").replace("+", "\\+")
    return _entry(
        f"uid={escaped},{below}",
        "inetOrgPerson",
        uid=name,
        cn=name,
        sn=name,
        userPassword=PASSWORD,
        **more,
    )


def _account(account: str, name: str, *, control: str) -> str:
    return _entry(
        f"cn={name.replace(',', chr(92) + ',')},{DIRECTORY}",
        "user",
        cn=name,
        sn=name,
        sAMAccountName=account,
        userPrincipalName=f"{name.split(',')[0].replace(' ', '.')}@corp.example.org",
        userAccountControl=control,
        userPassword=PASSWORD,
    )


def _entry(dn: str, classes: str, **attributes: str | list[str]) -> str:
    lines = [f"dn: {dn}", "changetype: add", *(f"objectClass: {one}" for one in classes.split())]
    for name, values in attributes.items():
        lines += [f"{name}: {v}" for v in ([values] if isinstance(values, str) else values)]
    return "\n".join([*lines, ""])
