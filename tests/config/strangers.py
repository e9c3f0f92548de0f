"""Documents that nobody in his right mind writes, each of them small, and each of them once enough to hang or end a reader."""

ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MAPPING_BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} {{{', '.join(f'k{number}: *{before}' for number in range(9))}}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "x: &x {a: 1}\ny0: &y0\n  <<: [*x,*x,*x,*x,*x,*x,*x,*x]\n" + "".join(
    f"y{number}: &y{number}\n  <<: [{','.join([f'*y{number - 1}'] * 9)}]\n" for number in range(1, 9)
)
KEY_BOMB = ALIAS_BOMB + "? *i\n: 1\n"
DEEP_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{number}: &a{number} [*a{number - 1}]\n" for number in range(1, 2_000))

YAML = {
    "an alias bomb": (ALIAS_BOMB, "line 6: its aliases unfold to more than 100000 values"),
    "an alias bomb of mappings": (MAPPING_BOMB, "its aliases unfold to more than 100000 values"),
    "a merge bomb": (MERGE_BOMB, "its aliases unfold to more than 100000 values"),
    "a bomb as a key": (KEY_BOMB, "its aliases unfold to more than 100000 values"),
    "aliases nested deep": (DEEP_ALIASES, "its aliases unfold to more than 100 levels"),
    "deep lists": ("a: " + "[" * 200_000, "line 1: is nested more than 100 levels deep"),
    "deep lists that are whole": ("[" * 700 + "]" * 700, "is nested more than 100 levels deep"),
    "deep mappings": ("{a: " * 600 + "1" + "}" * 600, "is nested more than 100 levels deep"),
    "deep blocks": ("- " * 200_000, "is nested more than 100 levels deep"),
    "a hexadecimal number of 100 000 digits": ("cluster: 0x" + "f" * 100_000, "cluster: is a number of 100002 digits"),
    "a number in base 60": ("limits: {max_releases: " + "1:" * 50_000 + "1}", "limits.max_releases: is a number of 100001 digits"),
    "a fraction in base 60": ("cluster: " + "1:" * 50_000 + "1.5", "cluster: is a number of 100003 digits"),
    "a number of 5 000 digits": ("limits: {max_releases: " + "9" * 5_000 + "}", "limits.max_releases: is a number of 5000 digits"),
    "a number of 290 digits": ("limits: {max_releases: " + "9" * 290 + "}", "limits.max_releases: "),
    "90 000 wrong keys": ("\n".join(f"k{number:05}: 1" for number in range(90_000)), "holds more than 100000 values"),
    "40 000 wrong keys": ("\n".join(f"k{number:05}: 1" for number in range(40_000)), "and 39970 more"),
    "30 000 keys given twice": ("a: 1\n" * 30_000, "and 29969 more"),
    "60 000 directives": ("\n".join(f"%TAG !a{number}! x" for number in range(60_000)), "holds more than 100 %TAG directives"),
    "a merge key that is a list": ("? [a, b]\n: 1", "the key on line 1 is not text to YAML"),
}

JSON = {
    "deep lists that are whole": ("[" * 700 + "]" * 700, "is nested more than 100 levels deep"),
    "deep lists": ("[" * 100_000, "is nested more than 100 levels deep"),
    "deep objects": ('{"a":' * 600 + "1" + "}" * 600, "is nested more than 100 levels deep"),
    "a number of 5 000 digits": (
        '{"limits": {"max_releases": ' + "9" * 5_000 + "}}",
        "limits.max_releases: is a number of 5000 digits",
    ),
    "a number of 290 digits": ('{"limits": {"max_releases": ' + "9" * 290 + "}}", "limits.max_releases: "),
    "a number that is none any more": ('{"nats": {"connect_timeout_seconds": 1e999}}', "Infinity is not a number"),
    "half a character": ('{"cluster": "\\ud800"}', "cluster: holds half a character"),
    "half a character as a key": ('{"\\ud800": 1}', "holds half a character"),
    "45 000 wrong keys": ("{" + ",".join(f'"k{number:05}": 1' for number in range(45_000)) + "}", "and 44970 more"),
    "90 000 wrong keys": ("{" + ",".join(f'"k{number:05}":1' for number in range(90_000)) + "}", "and 89970 more"),
    "200 000 values": ("[" + "1," * 200_000 + "1]", "holds more than 100000 values"),
}
