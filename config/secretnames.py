"""The one list of names whose values are never told: of fields, headers and parameters, wherever something is logged or refused."""

import re
from typing import Final

SECRET_NAME: Final = re.compile(r"authorization|token|secret|passw(?:or)?d|credential|cookie|key", re.IGNORECASE)
"""Is searched for in a name."""
