"""The platform tags that installers know (PEP 425, 513, 571, 599, 600, 656, 730, 738, 783)."""

from __future__ import annotations

import re

_LINUX = "aarch64|armv6l|armv7l|i686|loongarch64|ppc64|ppc64le|riscv64|s390x|x86_64"
_MACOS = "arm64|fat|fat3|fat32|fat64|i386|intel|ppc|ppc64|universal|universal2|x86_64"
_KNOWN = re.compile(
    rf"""
    any
    | win32 | win_amd64 | win_arm64
    | (?:many|musl)linux_\d+_\d+_(?:{_LINUX})
    | manylinux(?:1|2010|2014)_(?:{_LINUX})
    | linux_(?:{_LINUX})    # only where it was built, which is what private indexes are for
    | macosx_\d+_\d+_(?:{_MACOS})
    | ios_\d+_\d+_(?:arm64|x86_64)_iphone(?:os|simulator)
    | android_\d+_(?:arm64_v8a|armeabi_v7a|x86|x86_64)
    | pyemscripten_\d+_\d+_wasm32
    """,
    re.VERBOSE | re.ASCII,
)


def is_known_platform(tag: str) -> bool:
    """Whether some installer takes the tag for its own. Interpreters and ABIs are not judged."""
    return _KNOWN.fullmatch(tag) is not None
