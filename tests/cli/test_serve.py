"""What ``netra serve`` refuses before it has loaded a server."""

import pytest

from tests.cli.conftest import Netra
from tests.live import free_port


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "NETRA_AUTH=dev"),  # noqa: S104 - it is refused
        (["nothing:agent"], {}, "there is no module 'nothing'"),
        (["--config", "missing.toml"], {}, "missing.toml"),
        ([], {"NETRA_LOG_LEVL": "INFO"}, "did you mean NETRA_LOG_LEVEL?"),
        ([], {"NETRA_LOG_LEVEL": "LOUD"}, "LOUD"),
        ([], {"NETRA_AUTH": "jwt"}, "auth = jwt needs jwt_secret"),
        (["--port", "70000"], {}, "--port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_refused_in_words(
    netra: Netra, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    done = netra("serve", "--port", str(free_port()), *arguments, **environment)
    assert done.returncode == 2
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
