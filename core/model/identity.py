"""When two clones are of one workspace: their origin URLs mean the same place."""

import re

_SCP = re.compile(r"^(?:[^@/\s:]+@)?(\[[^\]]+\]|[^/:\s]+):(?!//)(.+)$")
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://(?:[^@/]*@)?(\[[^\]]+\]|[^/:]*)(?::\d+)?(?:/(.*))?$")


def normalised(url: str) -> str:
    """`host/path` of an origin URL in any of its forms, without user, password and port; a local path stays as it is.

    The host is compared without regard to case, the path with it: only some hosts do not tell `Shop` from `shop`.

    >>> normalised("ssh://git@Example.org:2222/team/shop.git")
    'example.org/team/shop'
    >>> normalised("git@example.org:team/shop") == normalised("https://me:secret@example.org/team/shop.git/")
    True
    """
    url = url.strip()
    if match := _URL.match(url):
        scheme, host, path = match[1].lower(), match[2].lower(), match[3] or ""
        if scheme == "file":
            return _path(f"/{path}")
        return f"{host}/{_path(path).lstrip('/')}"
    if not url.startswith(("/", ".")) and (match := _SCP.match(url)):
        return f"{match[1].lower()}/{_path(match[2]).lstrip('/')}"
    return _path(url)


def _path(path: str) -> str:
    path = re.sub(r"/{2,}", "/", path.partition("?")[0]).rstrip("/")
    path = path.removesuffix("/.git") if path.endswith("/.git") else path.removesuffix(".git")
    # ssh://host/~user/x and host:~user/x are one place; so are host:x and host:/x on all known forges.
    return path or "/"
