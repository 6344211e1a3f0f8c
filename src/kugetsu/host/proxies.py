"""How kugetsu's own HTTP requests leave the machine: by the proxies of the environment, trusting a server's own CA.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY mean what they mean to curl and git: the name in small letters wins, an
empty value is none. NO_PROXY also takes networks (`10.0.0.0/8`). This machine itself is never reached by a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote

from kugetsu.model.errors import BadInput
from kugetsu.model.servers import is_loopback, split_port, split_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

_SCHEMES = ("http", "https")


class Network:
    """The way out: `environment` names the proxies, `ca` is the file of the authority that signed the server's
    certificate (empty: the system's)."""

    __slots__ = ("ca", "environment")

    def __init__(self, environment: Mapping[str, str] | None = None, ca: str = "") -> None:
        self.environment = environment or {}
        self.ca = ca

    def pool(self, url: str, **options: Any) -> urllib3.PoolManager:
        """The connections for a URL; `options` are urllib3's. Raises BadInput for a proxy or a CA that cannot be used.

        What it raises and what the connections say later never has the proxy's login in it.
        """
        import urllib3

        if self.ca and split_url(url)[0] == "https":
            options["ca_certs"] = checked_ca(self.ca)
        proxy = proxy_for(url, self.environment)
        if proxy is None:
            return urllib3.PoolManager(**options)
        name, text = proxy
        try:
            parsed = urllib3.util.parse_url(text if "://" in text else f"http://{text}")
        except (urllib3.exceptions.HTTPError, ValueError):
            parsed = None
        if parsed is None or parsed.scheme not in _SCHEMES or not parsed.host:
            # It may have a password in it, so it is not quoted.
            raise BadInput(f"{name} is not an http or https proxy", f"write {name}=http://HOST:PORT, or unset it")
        headers = None
        if parsed.auth is not None:
            headers = urllib3.util.make_headers(proxy_basic_auth=unquote(parsed.auth))
        return urllib3.ProxyManager(parsed._replace(auth=None, path=None).url, proxy_headers=headers, **options)

    def key(self, url: str) -> str:
        """What tells two ways apart: URLs with the same key can share a pool."""
        proxy = proxy_for(url, self.environment)
        return f"{split_url(url)[0]} {proxy[1] if proxy else ''}"


def proxy_for(url: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that names the proxy for a URL, and its value; None where the URL is reached without."""
    scheme, host, _ = split_url(url)
    if scheme not in _SCHEMES or is_loopback(url):
        return None
    names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in environment:
        names.remove(f"{scheme.upper()}_PROXY")  # in a CGI program, a client's header Proxy: sets HTTP_PROXY
    found = next(((name, environment[name].strip()) for name in names if name in environment), None)
    if found is None or not found[1]:
        return None
    without = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    return None if any(_covers(entry, host, scheme) for entry in without.replace(",", " ").split()) else found


def checked_ca(path: str) -> str:
    """The path of a file with certificates. Raises BadInput for any other."""
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and not isinstance(problem, ssl.SSLError) else None
        said = (reason or "it holds no certificate in PEM form").lower()
        text = f"the certificate file {path} cannot be used: {said}"
        raise BadInput(text, "kugetsu server add --force NAME URL --ca FILE") from None
    return path


def in_words(error: Exception, connect_seconds: float, answer_seconds: float) -> str:
    """What went wrong with a request, without the URL and the host that the library's own words have in them."""
    from urllib3 import exceptions

    if isinstance(error, exceptions.ProxyError):
        return "the proxy refused it, or cannot be reached (HTTPS_PROXY, NO_PROXY)"
    if isinstance(error, exceptions.NameResolutionError):
        return "its host is not known"
    if isinstance(error, exceptions.NewConnectionError):  # before timeouts: the library counts it as one
        return "the connection was refused, or its host is unreachable"
    if isinstance(error, exceptions.ConnectTimeoutError):
        return f"no connection within {connect_seconds:g} s"
    if isinstance(error, exceptions.TimeoutError):
        return f"no answer within {answer_seconds:g} s"
    if isinstance(error, exceptions.SSLError):
        return "its certificate does not verify, or it speaks no TLS"
    if isinstance(error, exceptions.ProtocolError):
        return "the connection was cut"
    return f"the request failed: {type(error).__name__}"


def _covers(entry: str, host: str, scheme: str) -> bool:
    """Whether an entry of NO_PROXY means a `host[:port]`."""
    if entry == "*":
        return True
    name, port = split_port(host)
    wanted, wanted_port = (entry, "") if entry.count(":") > 1 and "]" not in entry else split_port(entry.lower())
    if wanted_port and wanted_port != (port or {"http": "80", "https": "443"}[scheme]):
        return False
    wanted = wanted.strip("[]").lstrip(".").removeprefix("*.")
    name = name.strip("[]")
    if name == wanted or name.endswith(f".{wanted}"):
        return True
    if "/" not in wanted:
        return False

    try:
        return ip_address(name) in ip_network(wanted, strict=False)
    except ValueError:
        return False
