"""Which file the settings come from. The only place that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srv6kv import foreign, settings
from srv6kv.errors import InputError, SettingsError
from srv6kv.settings import Settings
from srv6kv.yamllines import Excerpt

ENVIRONMENT = "CONTIV_CONFIG"
DEFAULT_FILE = Path("/etc/contiv/contiv.conf")


def find(
    config_option: Path | None,
    environ: Mapping[str, str],
    config_map: Excerpt | None = None,
    default_file: Path = DEFAULT_FILE,
) -> tuple[Settings, tuple[str, ...]]:
    """The settings and their warnings, from the first of the four sources that is there.

    Args:
        config_option: the value of ``--config``.
        environ: where CONTIV_CONFIG may be.
        config_map: the contiv.conf of the ConfigMap among the manifests.
        default_file: read if it exists and nothing was named.

    Raises:
        SettingsError: no source, or settings that are refused.
    """
    named = config_option or (Path(environ[ENVIRONMENT]) if environ.get(ENVIRONMENT) else None)
    if named is not None:
        return settings.load(_read(named), str(named))
    if default_file.exists():
        return settings.load(_read(default_file), str(default_file))
    if config_map is not None:
        return settings.load_excerpt(config_map)
    raise SettingsError(
        f"no settings: give --config FILE, set {ENVIRONMENT}, create {default_file}"
        " or put the ConfigMap contiv-agent-cfg among the manifests"
    )


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r}: cannot be read: {error}") from None
    try:
        return foreign.text(content)
    except foreign.Unreadable as error:
        if not error.line:
            raise SettingsError(f"{path}: {error}") from None
        raise SettingsError(f"{path}:{error.line}: not UTF-8; save it as UTF-8") from None
