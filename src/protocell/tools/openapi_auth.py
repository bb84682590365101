"""Credentials of the user's, put into requests on the host; the code inside never sees them."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from protocell.errors import PolicyError
from protocell.tools.openapi_operations import Operation
from protocell.tools.openapi_request import Request
from protocell.tools.openapi_schema import Document, map_of
from protocell.tools.options import bad_option

Token = str | tuple[str, str]
"""A key or bearer token; or user and password."""
Credential = Token | Callable[[], Token | Awaitable[Token]]
"""A function is called for each request, in the event loop, so it must not block."""
Auth = Credential | Mapping[str, Credential]
"""One credential for whatever the document asks for; or one for each security scheme, by its name."""

_BEARER: Mapping[str, Any] = {"type": "http", "scheme": "bearer"}
_BASIC: Mapping[str, Any] = {"type": "http", "scheme": "basic"}


def refuse_bad_auth(auth: object) -> None:
    """Raises PolicyError for what can be no credential, nor several by name."""
    every = auth.items() if isinstance(auth, Mapping) else [("", auth)]
    if auth is not None and not all(type(name) is str and _is_one(each) for name, each in every):
        allowed = (
            "a token, a pair of user and password, a function that gives one of these, a mapping of "
            "the document's security schemes to these, or None"
        )
        raise bad_option("auth", auth, allowed)


def _is_one(credential: object) -> bool:
    if isinstance(credential, tuple):
        return len(credential) == 2 and all(isinstance(part, str) for part in credential)
    return isinstance(credential, str) or callable(credential)


class Credentials:
    """What the user gave for one service, and where the document says that it goes."""

    def __init__(self, document: Document, auth: Auth | None) -> None:
        """Raises PolicyError where a scheme is named that the document has not."""
        components = map_of(document.root.get("components"))
        given = map_of(components.get("securitySchemes"))
        self._schemes = {str(name): document.follow(scheme) for name, scheme in given.items()}
        self._auth = auth
        if isinstance(auth, Mapping) and (unknown := set(auth) - set(self._schemes)):
            known = ", ".join(sorted(self._schemes)) or "none"
            raise PolicyError(
                f"no security scheme is called {', '.join(sorted(unknown))}; the document has: {known}"
            )

    async def put_into(self, request: Request, operation: Operation) -> None:
        """Adds what this operation needs, as far as the user gave it; it replaces what is there."""
        for scheme, credential in self._needed(operation):
            _put(request, scheme, await _token(credential))

    def _needed(self, operation: Operation) -> list[tuple[Mapping[str, Any], Credential]]:
        """Of the alternatives the first for which there is all; none where none is asked for."""
        if self._auth is None:
            return []
        if not self._schemes and not isinstance(self._auth, Mapping):
            # A document that says nothing of it: what nearly everybody does.
            return [(_BASIC if isinstance(self._auth, tuple) else _BEARER, self._auth)]
        for alternative in operation.security:
            found = [(name, self._credential(name)) for name in alternative]
            if all(credential is not None for _, credential in found):
                return [(self._schemes[name], c) for name, c in found if c is not None]
        return []

    def _credential(self, name: str) -> Credential | None:
        if name not in self._schemes:
            return None
        return self._auth.get(name) if isinstance(self._auth, Mapping) else self._auth


async def _token(credential: Credential) -> Token:
    if not callable(credential):
        return credential
    made = credential()
    return await made if inspect.isawaitable(made) else made


def _put(request: Request, scheme: Mapping[str, Any], token: Token) -> None:
    kind, place = scheme.get("type"), scheme.get("in")
    name = str(scheme.get("name", ""))
    text = token if isinstance(token, str) else ":".join(token)
    if kind == "apiKey" and place == "query":
        request.query = [*(pair for pair in request.query if pair[0] != name), (name, text)]
    elif kind == "apiKey" and place == "cookie":
        request.cookies[name] = text
    elif kind == "apiKey":
        request.credentials[name.lower()] = text
    elif isinstance(token, tuple) or str(scheme.get("scheme", "")).lower() == "basic":
        request.credentials["authorization"] = "Basic " + base64.b64encode(text.encode()).decode()
    else:
        request.credentials["authorization"] = f"Bearer {text}"
