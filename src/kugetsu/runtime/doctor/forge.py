"""Forges: which servers are known, whether each has a token, and with --online whose it is."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.forge.protocol import Forge
from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import listed
from kugetsu.model.servers import LOCAL, canonical_host
from kugetsu.runtime import forges
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.intake import places
from kugetsu.runtime.reactions.people import is_program

found = Found("forge")


def check(context: Context) -> Iterator[Finding]:
    """The findings; tokens by name only."""
    if context.ws.config.text("KUGETSU_FORGE") == "off":
        yield found.ok("off", "forges are not contacted (KUGETSU_FORGE)")
        return
    hosts = _hosts(context)
    if context.state() is None:
        yield found.skipped("servers", f"servers of registered repositories were not checked: {context.why_no_state()}")
    elif not hosts:
        yield found.ok("servers", "no server is configured: nothing to check")
    told: set[str] = set()
    for host in hosts:
        for one in _server(context, host):
            if one.level != "problem" or one.text not in told:  # an env file that is broken is so for every server
                yield one
            told.add(one.text)
    yield from _intake(context)


def _intake(context: Context) -> Iterator[Finding]:
    """Whether labelled issues can be asked for, where a repository has an INTAKE_LABEL."""
    state = context.state()
    labels = places.labels(context.ws, state) if state is not None else {}
    for host in sorted({repository.partition("/")[0] for repository in labels}):
        watched = [f"{name} ({label})" for name, label in labels.items() if name.startswith(f"{host}/")]
        lacking = places.why_not(context.ws, host)
        if lacking is not None:
            yield found.problem(f"intake of {host}", lacking.message, lacking.hint)
        else:
            yield found.ok(f"intake of {host}", f"labelled issues are queued: {listed(watched)}")


def _hosts(context: Context) -> list[str]:
    """The hosts of GIT_SERVERS and of known repositories and sessions."""
    servers = context.ws.config.servers()
    hosts = {canonical_host(name, servers) for name in servers}
    state = context.state()
    if state is not None:
        named = [*state.repositories, *(session.repository or "" for session in state.sessions.values())]
        hosts |= {canonical_host(name.partition("/")[0], servers) for name in named if name}
    return sorted(hosts - {LOCAL})


def _server(context: Context, host: str) -> Iterator[Finding]:
    try:
        why = forges.why_none(context.ws, host)
    except KugetsuError as problem:
        yield found.problem(host, problem.message, problem.hint)
        return
    if why is not None:
        text = f"{host} is not contacted for issues and pull requests: {why}"
        yield found.warning(host, text, forges.how_to_allow(context.ws, host))
        return
    if not context.online:
        yield found.skipped(host, f"{host} was not contacted", "kugetsu doctor --online")
        return
    try:
        who, access = forges.Forges(context.ws).ask(host, _ask)
    except KugetsuError as problem:
        yield found.problem(host, problem.message, problem.hint)
        return
    yield found.ok(host, f"{host} answers, {f'and identifies you as {who}' if who else f'asked {access}'}")
    if who and _reacts(context, host):
        yield found.ok(f"reactions of {host}", _heard(who))


def _reacts(context: Context, host: str) -> bool:
    """Whether the feedback of a repository on a server is answered."""
    config = context.ws.config
    own = (config.of(name) for name in config.repositories if name.startswith(f"{host}/"))
    return any(one.text("REACTIONS") for one in (config, *own))


def _heard(account: str) -> str:
    """Whose words those of kugetsu's own account are taken for: it may be its user's as well."""
    if is_program(account):
        return f"{account} is a program's name: what it writes starts no turn unless REACTION_AUTHORS lists it"
    return (
        f"what {account} writes is answered as yours, unless it has kugetsu's mark or an agent was at work on the issue"
    )


def _ask(forge: Forge) -> tuple[str | None, str]:
    """The account of the token (None without one: the server is only reached), and how it was asked."""
    if not forge.authenticated:
        forge.reach()
    return forge.whoami(), forge.access
