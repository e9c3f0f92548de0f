"""What a container runs and what an announcement names, in one form: an image by its repository, tag and digest. Pure.

Registries and mirrors of one image differ by their addresses, so that of a repository its last part only is compared.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{32,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image as somebody names it. What is not said is empty."""

    repository: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def tail(self) -> str:
        """The last part of the repository: ``till`` of ``reg.example/shop/till``."""
        return self.repository.rpartition("/")[2]

    @property
    def is_told_apart(self) -> bool:
        """Whether it names one image of its repository: ``latest`` is another one tomorrow."""
        return bool(self.digest or (self.tag and self.tag != "latest"))

    def __str__(self) -> str:
        """As containers name it."""
        return f"{self.repository}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"


def image(reference: str) -> Image:
    """What a container's ``image`` names, or an artifact written like it: ``reg.example:5000/till:1.5@sha256:...``."""
    named, _, digest = reference.strip().partition("@")
    head, slash, last = named.rpartition("/")
    last, _, tag = last.partition(":")
    return Image(repository=f"{head}{slash}{last}", tag=tag, digest=digest if _DIGEST.fullmatch(digest) else "")


def artifact(named: str) -> Image:
    """What an announcement's artifact names: an image, or a package URL such as ``pkg:oci/till@sha256%3A...?tag=1.5``."""
    text = named.strip()
    if not text.startswith("pkg:"):
        return image(text)
    path, _, query = text.partition("#")[0].partition("?")
    name, _, version = path.removeprefix("pkg:").partition("@")
    said, version = parse_qs(query), unquote(version)
    digest = version if _DIGEST.fullmatch(version) else ""
    tag = said.get("tag", [""])[0] or ("" if digest else version)
    return Image(repository=unquote(name).partition("/")[2] or unquote(name), tag=tag, digest=digest)
