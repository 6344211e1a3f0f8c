"""What is asked of a setting when somebody writes it, beyond what reads its value: a file that says otherwise is still
read."""

from __future__ import annotations

from kugetsu.model.errors import BadInput
from kugetsu.model.servers import check_name, check_new_url, names_a_server, parse_servers
from kugetsu.model.settings import OF_REPOSITORY, SHARED, shown, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def shared_text(key: str, text: str) -> str:
    """What a setting of `SHARED` is, from what somebody wrote; empty for none. Raises BadInput."""
    setting = SHARED[key]
    try:
        return text_of(setting.read(text)) if text else ""
    except ValueError as error:
        raise BadInput(
            f"{key}={shown(text)}: {error}", f"{setting.help}; default: {setting.default or '(empty)'}"
        ) from error


def require_own(key: str) -> None:
    """Raise BadInput for a setting of which a repository has no value of its own."""
    if key not in OF_REPOSITORY:
        raise BadInput(f"{key} is not a setting of one repository", f"for all of them: kugetsu config set {key} VALUE")


def require_servers(key: str, value: str, servers: Mapping[str, str], default: str) -> None:
    """What is asked of the git servers when they are written, as `kugetsu server` asks it: URLs without a password, and
    a default server that is one. ``servers`` and ``default`` are those of before. Raises BadInput.

    A file that says otherwise is still read: a setting that somebody wrote must not keep every command from working.
    """
    if key == "DEFAULT_GIT_SERVER" and value:
        try:
            name = check_name(value)
        except ValueError as error:
            raise BadInput(str(error), "name a host, or a name of GIT_SERVERS: kugetsu server list") from error
        if not names_a_server(name, servers):
            said = f"{name} is neither a host nor a name of GIT_SERVERS"
            raise BadInput(said, f"kugetsu server add {name} URL, then: kugetsu server default {name}")
    elif key == "GIT_SERVERS":
        try:
            new = parse_servers(value)
            for url in new.values():
                check_new_url(url)
        except ValueError as error:
            raise BadInput(f"GIT_SERVERS: {error}", "write it as NAME=https://git.example.com") from error
        if names_a_server(default, servers) and not names_a_server(default, new):
            said = f"GIT_SERVERS without {default}: that is the default server"
            raise BadInput(said, "set another one first: kugetsu server default NAME")
