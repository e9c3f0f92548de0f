"""``python -m tests.earlier``: write today's form and what a daemon keeps in it, to be done once after ``FORM`` was raised."""

import asyncio

import msgspec

from daemon.stored import FORM
from tests.earlier.keeping import kept
from tests.earlier.schema import HERE, form

(HERE / f"schema-{FORM}.txt").write_text("".join(f"{line}\n" for line in form()), encoding="utf-8")
(HERE / f"kept-{FORM}.json").write_bytes(msgspec.json.encode(asyncio.run(kept())) + b"\n")
