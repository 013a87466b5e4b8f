"""Where something is fetched from, and with whose credentials. Reads a Secret's files, no network.

A Secret that is named by `credentialsSecretName` holds one of: `token` (sent as a bearer), `username` and `password` (basic),
`sasToken` (a shared access signature: appended to the query, for storage accounts). Whatever else it holds is not looked at.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from batchpools.agent.fetch.result import Codes, Fetched, FetchFailure
from batchpools.agent.fetch.sink import Sink


@dataclass(frozen=True, slots=True)
class Source:
    """One thing over http or https.

    headers: sent to the origin of the URL and to no other one that it redirects to. query: added to the URL's, secret too.
    sha256: what it must be, in hexadecimal digits; empty = anything.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    sha256: str = ""

    @property
    def full_url(self) -> str:
        """The URL that is asked for."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(query="&".join(one for one in (parts.query, self.query) if one)))

    def with_credentials(self, folder: Path | None) -> "Source":
        """The same with what a mounted Secret holds; None: as it is. ValueError with a sentence that names the Secret."""
        if folder is None:
            return self
        token, user, password, signature = (_read(folder, key) for key in ("token", "username", "password", "sasToken"))
        if token is not None:
            return replace(self, headers={**self.headers, "Authorization": f"Bearer {token}"})
        if user is not None and password is not None:
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            return replace(self, headers={**self.headers, "Authorization": f"Basic {basic}"})
        if signature is not None:
            return replace(self, query=signature.removeprefix("?"))
        raise ValueError(
            f"Secret {folder.name} is not there or holds no credentials: a key token, or sasToken, or username and password"
        )


Fetch = Callable[[Source, Sink, Codes], Awaitable[Fetched | FetchFailure]]  # how one is had


def shown(url: str) -> str:
    """A URL as people may see it: without user, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "its URL"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _read(folder: Path, key: str) -> str | None:
    """A line of text; None when there is no such key."""
    try:
        value = folder.joinpath(key).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return value if value.isprintable() else None
