"""Lists the blobs of a container of Azure Blob Storage. Source: REST reference, List Blobs.

Names are the storage's to give: those that would leave a directory are an error, before anything is fetched.
"""

from dataclasses import replace
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree as ET

from batchpools.agent.fetch.result import CONTAINER, FetchFailure
from batchpools.agent.fetch.sink import MemorySink
from batchpools.agent.fetch.source import Fetch, Source, shown

MOST_BLOBS = 50_000
_PAGE = 5000
_VERSION = {"x-ms-version": "2021-12-02"}


async def list_blobs(fetch: Fetch, container: Source, prefix: str) -> list[str] | FetchFailure:
    """Names of all blobs that begin with the prefix."""
    found: list[str] = []
    marker = ""
    while True:
        page = MemorySink()
        fetched = await fetch(_page_of(container, prefix, marker), page, CONTAINER)
        if isinstance(fetched, FetchFailure):
            return fetched
        try:
            names, marker = read_page(page.content)
        except ValueError as error:
            return FetchFailure(CONTAINER.other, f"{shown(container.url)} gave no list of blobs: {error}")
        found += names
        if len(found) > MOST_BLOBS:
            return FetchFailure(
                CONTAINER.other, f"{shown(container.url)} has more than {MOST_BLOBS} blobs that begin with {prefix!r}"
            )
        if not marker:
            return found


def blob_of(container: Source, name: str) -> Source:
    """One blob."""
    parts = urlsplit(container.url)
    path = f"{parts.path.rstrip('/')}/{quote(name, safe='/')}"
    return replace(container, url=urlunsplit(parts._replace(path=path)), headers={**_VERSION, **container.headers})


def read_page(content: bytes) -> tuple[list[str], str]:
    """(names of blobs, marker of the next page or empty); ValueError."""
    text = content.decode("utf-8-sig")
    if "<!" in text:  # no listing has one, and an entity could grow without end
        raise ValueError("it holds a declaration")
    try:
        root = ET.fromstring(text)  # noqa: S314 (see above)
    except ET.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None
    if root.tag != "EnumerationResults":
        raise ValueError(f"it begins with {root.tag!r}")
    names = [_name(blob) for blob in root.iterfind("Blobs/Blob") if not _is_directory(blob)]
    return names, root.findtext("NextMarker") or ""


def _name(blob: ET.Element) -> str:
    name = blob.find("Name")
    text = (name.text if name is not None else "") or ""
    return unquote(text) if name is not None and name.get("Encoded") == "true" else text


def _is_directory(blob: ET.Element) -> bool:
    """An account with a hierarchical namespace lists directories, too."""
    return blob.findtext("Properties/ResourceType") == "directory" or blob.findtext("Metadata/hdi_isfolder") == "true"


def _page_of(container: Source, prefix: str, marker: str) -> Source:
    asked = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": str(_PAGE)}
    asked |= {"prefix": prefix} if prefix else {}
    asked |= {"marker": marker} if marker else {}
    query = "&".join(one for one in (urlencode(asked), container.query) if one)
    return replace(container, query=query, headers={**_VERSION, **container.headers})
