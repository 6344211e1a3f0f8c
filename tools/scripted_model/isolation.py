"""Sets up an opencode that knows the scripted model only, and that touches neither the user's data nor the internet."""

from __future__ import annotations

import json
from pathlib import Path

from kugetsu.agents.opencode import leftovers
from scripted_model.server import MODEL

PROVIDER = "scripted"


def opencode_config(url: str) -> dict[str, object]:
    """The content of an `opencode.json` whose only model is the server at ``url`` (scheme, host and port)."""
    model = {
        "name": "Scripted model of kugetsu",
        "limit": {"context": 200_000, "output": 8_000},
        "cost": {"input": 1, "output": 2},
    }
    return {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "model": f"{PROVIDER}/{MODEL}",
        "small_model": f"{PROVIDER}/{MODEL}",
        "enabled_providers": [PROVIDER],
        "provider": {
            PROVIDER: {
                # This adapter is bundled with opencode: nothing is fetched for it.
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted",
                "options": {"baseURL": f"{url.rstrip('/')}/v1", "apiKey": "none-needed"},
                "models": {MODEL: model},
            }
        },
    }


def isolate(home: str | Path, url: str) -> dict[str, str]:
    """Writes an opencode home under the folder ``home`` and returns the environment variables that lead to it.

    With them opencode connects to ``url`` and to nothing else (seen with strace), keeps its data under ``home``, and
    leaves the user's own configuration, sessions and credentials alone.
    """
    root = Path(home).absolute()
    root.mkdir(parents=True, exist_ok=True)
    config = root / "opencode.json"
    config.write_text(json.dumps(opencode_config(url), indent=2) + "\n", encoding="utf-8")
    leftovers.suppress_install(root / "config" / "opencode")
    git = root / "gitconfig"
    if not git.exists():
        git.write_text("[user]\n\tname = Scripted agent\n\temail = agent@example.invalid\n", encoding="utf-8")
    return {
        "HOME": str(root),
        "XDG_DATA_HOME": str(root / "data"),
        "XDG_CONFIG_HOME": str(root / "config"),
        "XDG_STATE_HOME": str(root / "state"),
        "XDG_CACHE_HOME": str(root / "cache"),
        "GIT_CONFIG_GLOBAL": str(git),
        "OPENCODE_CONFIG": str(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "npm_config_offline": "true",
    }
