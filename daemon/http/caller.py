"""Who calls, and what that one may do and name: however it has shown who it is."""

from dataclasses import dataclass
from typing import Final, Self, get_args

from config import settings
from config.errors import one_of
from config.settings import Scope
from daemon.errors import NotAllowed

SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, and what that one may do.

    Attributes:
        name: under ``http.callers``, or what stands for it; null: nobody has said.
        scopes: what it may do.
        namespaces, policies: what it may name; null: any.
        setting: where this stands in the settings; null: under its name.
    """

    name: str | None
    scopes: frozenset[Scope]
    namespaces: frozenset[str] | None = None
    policies: frozenset[str] | None = None
    setting: str | None = None

    @classmethod
    def of(cls, said: settings.Caller | settings.SignedCaller, *, name: str, setting: str | None = None) -> Self:
        """As the settings have it."""
        return cls(
            name=name,
            scopes=frozenset(said.scopes),
            namespaces=None if said.namespaces is None else frozenset(said.namespaces),
            policies=None if said.policies is None else frozenset(said.policies),
            setting=setting,
        )

    def check_scope(self, scope: Scope) -> None:
        """Raises ``NotAllowed`` where it may not do that."""
        if scope not in self.scopes:
            raise NotAllowed(
                f"{self._called} may not {scope}: its scopes are {', '.join(sorted(self.scopes)) or 'none'}",
                path="Authorization",
                fix=f"add {scope} to {self._at}.scopes, or show the token of a caller that has it",
            )

    def check_namespace(self, namespace: str | None) -> None:
        """Raises ``NotAllowed`` where it may not name that namespace; null: all of them at once."""
        if self.namespaces is not None and namespace not in self.namespaces:
            what = "all namespaces at once" if namespace is None else f"the namespace {namespace!r}"
            fix = f"leave {self._at}.namespaces out" if namespace is None else f"add {namespace} to {self._at}.namespaces"
            raise NotAllowed(
                f"{self._called} may not name {what}: it may name {one_of(sorted(self.namespaces)) if self.namespaces else 'none'}",
                path="$.namespace",
                fix=f"{fix}, or show another caller's token",
            )

    def check_policy(self, policy: str) -> None:
        """Raises ``NotAllowed`` where it may not name that policy."""
        if self.policies is not None and policy not in self.policies:
            raise NotAllowed(
                f"{self._called} may not name the policy {policy!r}: "
                f"it may name {one_of(sorted(self.policies)) if self.policies else 'none'}",
                path="$.policy",
                fix=f"add {policy} to {self._at}.policies, or show another caller's token",
            )

    @property
    def _called(self) -> str:
        return "whoever shows no token" if self.name is None else f"the caller {self.name!r}"

    @property
    def _at(self) -> str:
        return self.setting or f"http.callers.{self.name or 'NAME'}"
