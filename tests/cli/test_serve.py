"""What ``netra serve`` refuses before it has loaded a server."""

from pathlib import Path

import pytest

from tests.cli.conftest import Netra
from tests.ports import free_port


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "NETRA_AUTH=dev"),  # noqa: S104 - it is refused
        (["nothing:agent"], {}, "there is no module 'nothing'"),
        (["--config", "missing.toml"], {}, "missing.toml"),
        ([], {"NETRA_LOG_LEVL": "INFO"}, "did you mean NETRA_LOG_LEVEL?"),
        ([], {"NETRA_LOG_LEVEL": "LOUD"}, "log_level (NETRA_LOG_LEVEL): Input should be 'DEBUG'"),
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


def test_a_module_that_raises_is_told_in_one_sentence_and_the_users_own_frames(
    installed: Netra, tmp_path: Path
) -> None:
    file = tmp_path / "broken_module.py"
    file.write_text("import os\n\nKEY = os.environ['NO_SUCH_KEY']\n")
    done = installed("serve", "--port", str(free_port()), "broken_module:agent")
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[0] == (
        "netra: broken_module:agent: 'broken_module' cannot be imported: "
        f"{file}, line 3: KeyError: 'NO_SUCH_KEY'"
    )
    assert [line for line in said if "File" in line] == [f'  File "{file}", line 3, in <module>']
