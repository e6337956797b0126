"""Settings come from one file, the environment and the command line, and every fault is named."""

import logging
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from netra_backend.config import AuthMode, Settings, load_settings
from netra_backend.errors import ConfigError
from netra_backend.jsonlog.configure import FORMATS, LEVELS
from netra_backend.jsonlog.record import line

SECRET = "hunter2-hunter2-hunter2-hunter2!"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty directory and without the variables of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NETRA_{name.upper()}", raising=False)


def write(text: str, name: str = "netra.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refused(file: Path | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, **overrides)
    return str(caught.value)


# --- where values come from ----------------------------------------------------------------


def test_with_nothing_given_there_are_defaults() -> None:
    assert load_settings() == Settings()
    assert Settings().auth is AuthMode.DEV


def test_the_file_in_the_working_directory_is_read() -> None:
    write('data_dir = "there"\nrun_timeout = 5\nallowed_origins = ["https://a.example"]\n')
    settings = load_settings()
    assert settings.data_dir == Path("there")
    assert settings.run_timeout == 5.0
    assert settings.allowed_origins == ("https://a.example",)


def test_a_named_file_is_read_instead() -> None:
    write("run_events = 1")
    assert load_settings(write("run_events = 2", "other.toml")).run_events == 2


def test_variables_win_over_the_file_and_arguments_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("run_events = 1\nbad_frames = 1\nconnections = 1")
    monkeypatch.setenv("NETRA_BAD_FRAMES", "2")
    monkeypatch.setenv("NETRA_CONNECTIONS", "2")
    settings = load_settings(connections=3)
    assert (settings.run_events, settings.bad_frames, settings.connections) == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "value", "field", "wanted"),
    [
        ("NETRA_DATA_DIR", "/a/b", "data_dir", Path("/a/b")),
        ("NETRA_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("NETRA_LOG_FORMAT", "GCP", "log_format", "gcp"),
        ("NETRA_RUN_TIMEOUT", "2.5", "run_timeout", 2.5),
        ("NETRA_ALLOWED_ORIGINS", '["https://a", "https://b"]', "allowed_origins", ...),
    ],
)
def test_variables_are_converted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, wanted: object
) -> None:
    monkeypatch.setenv(name, value)
    if wanted is ...:
        wanted = ("https://a", "https://b")
    assert getattr(load_settings(), field) == wanted


def test_settings_read_nothing_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    write("run_events = 1")
    monkeypatch.setenv("NETRA_RUN_EVENTS", "2")
    assert Settings().run_events == Settings.model_fields["run_events"].default


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().run_events = 3  # type: ignore[misc]


# --- what is refused, and how it is said ---------------------------------------------------


def test_a_missing_file_is_named_only_if_it_was_asked_for() -> None:
    load_settings()
    assert refused(Path("absent.toml")) == "absent.toml: No such file or directory"


@pytest.mark.parametrize("text", ["run_events =", "= 1", "a = 1\na = 2", "[a", 'x = "\x01"'])
def test_invalid_toml_is_named_with_its_place(text: str) -> None:
    told = refused(write(text, "bad.toml"))
    assert told.startswith("bad.toml: ")
    assert "(at line " in told or "(at end of document)" in told


def test_a_file_that_is_no_text_is_named() -> None:
    Path("netra.toml").write_bytes(b"\xff\xfe")
    assert refused().startswith("netra.toml: ")


def test_an_unknown_key_is_named_with_its_file() -> None:
    told = refused(write("run_event = 1\n[server]\nport = 1", "mine.toml"))
    assert "mine.toml" in told
    assert "run_event is no setting; did you mean run_events?" in told
    assert "server is no setting" in told
    told = refused(write("[agents.support]\nwhen_bussy = 'enqueue'", "mine.toml"))
    assert "agents.support.when_bussy is no setting; did you mean when_busy?" in told


def test_what_is_wrong_is_said_in_our_words_only() -> None:
    told = refused(write("auth = 'jwt'", "mine.toml"))
    assert told.endswith("NETRA_* variables): " + told[told.index("auth = jwt needs") :])


@pytest.mark.parametrize(
    ("variable", "suggestion"),
    [
        ("NETRA_LOG_LEVL", "did you mean NETRA_LOG_LEVEL?"),
        ("NETRA_DATADIR", "did you mean NETRA_DATA_DIR?"),
        ("netra_log_level", "did you mean NETRA_LOG_LEVEL?"),
        ("Netra_AUTH", "did you mean NETRA_AUTH?"),
        ("NETRA_QQQQ", None),
    ],
)
def test_an_unknown_variable_is_named_with_what_was_probably_meant(
    monkeypatch: pytest.MonkeyPatch, variable: str, suggestion: str | None
) -> None:
    monkeypatch.setenv(variable, "1")
    told = refused()
    assert variable in told
    assert (suggestion in told) if suggestion else ("did you mean" not in told)


def test_levels_and_formats_are_those_of_jsonlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRA_LOG_LEVEL", "LOUD")
    monkeypatch.setenv("NETRA_LOG_FORMAT", "xml")
    level, form = refused().partition("): ")[2].split("; ")
    assert level.startswith("log_level (NETRA_LOG_LEVEL): ")
    assert re.findall("'(.+?)'", level) == list(LEVELS)
    assert form.startswith("log_format (NETRA_LOG_FORMAT): ")
    assert re.findall("'(.+?)'", form) == list(FORMATS)


def test_variables_of_others_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_LOG_LEVEL", "x")
    monkeypatch.setenv("XNETRA_LOG_LEVEL", "x")
    assert load_settings() == Settings()


def test_what_kubernetes_says_of_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says it in every container of the namespace, in names made of those of the services."""
    for service in ("NETRA", "NETRA_CHAT"):
        tcp = f"{service}_PORT_80_TCP"
        monkeypatch.setenv(f"{service}_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv(f"{service}_SERVICE_PORT", "80")
        monkeypatch.setenv(f"{service}_SERVICE_PORT_HTTP", "80")
        monkeypatch.setenv(f"{service}_PORT", "tcp://10.0.0.1:80")
        monkeypatch.setenv(tcp, "tcp://10.0.0.1:80")
        monkeypatch.setenv(f"{tcp}_PROTO", "tcp")
        monkeypatch.setenv(f"{tcp}_PORT", "80")
        monkeypatch.setenv(f"{tcp}_ADDR", "10.0.0.1")
    assert load_settings() == Settings()
    monkeypatch.setenv("NETRA_PORT", "8001")
    assert refused() == "the environment variable NETRA_PORT is no setting"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("data_dir", "3"),
        ("log_level", "3"),
        ("auth", '"none"'),
        ("jwt_secret", "12345"),
        ("allowed_origins", '"https://a"'),
        ("allowed_origins", "[1]"),
        ("run_timeout", '"soon"'),
        ("run_timeout", "0"),
        ("run_timeout", "inf"),
        ("run_timeout", "nan"),
        ("run_timeout", "true"),
        ("run_events", "1.5"),
        ("run_events", "0"),
        ("run_events", "true"),
        ("run_events", "[1]"),
        ("coalesce_ms", "-1"),
        ("coalesce_ms", "false"),
        ("frame_bytes", "2020-01-01"),
    ],
)
def test_a_value_of_a_wrong_kind_is_named(key: str, text: str) -> None:
    told = refused(write(f"{key} = {text}"))
    assert "netra.toml" in told
    assert f"{key}" in told
    assert "Input should be" in told or "Input is not" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NETRA_RUN_TIMEOUT", "soon"),
        ("NETRA_RUN_TIMEOUT", "inf"),
        ("NETRA_RUN_EVENTS", "many"),
        ("NETRA_AUTH", "none"),
        ("NETRA_ALLOWED_ORIGINS", '"https://a"'),
    ],
)
def test_a_variable_of_a_wrong_kind_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    key = name.removeprefix("NETRA_").lower()
    told = refused(write(f"{key} = true"))
    assert f"{key} ({name}): " in told
    assert "NETRA_DATA_DIR" not in refused(write("data_dir = 3"))


def test_a_data_directory_may_be_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert load_settings(data_dir=Path("~/log")).data_dir == Path("/home/ann/log")
    assert load_settings(write("data_dir = '~'")).data_dir == Path("/home/ann")
    assert "~nobody-known is no home" in refused(data_dir=Path("~nobody-known/log"))


@pytest.mark.parametrize("secret", ["", "p4ss-1234"])
def test_a_short_secret_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("NETRA_JWT_SECRET", secret)
    told = refused()
    assert told.endswith(
        "jwt_secret (NETRA_JWT_SECRET): it must have at least 32 bytes (RFC 7518 section 3.2)"
    )
    assert not secret or secret not in told


@pytest.mark.parametrize(
    "key", ["data_dir", "jwt_audience", "jwt_issuer", "jwt_admin_claim", "jwt_public_key"]
)
def test_an_empty_text_is_no_value(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """As of ``NETRA_DATA_DIR=$UNSET``, which would put the log into the working directory."""
    monkeypatch.setenv(f"NETRA_{key.upper()}", "")
    assert f"{key} (NETRA_{key.upper()}): Input should not be empty" in refused()


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("NETRA_ADMINS", '["bob"]'),
        ("NETRA_ALLOWED_ORIGINS", '["https://a.example"]'),
        ("NETRA_ALLOWED_HOSTS", '["a.example"]'),
        ("NETRA_JWT_JWKS", '{"https://ISSUER": "https://ISSUER/jwks.json"}'),
        ("NETRA_AGENTS", '{"NAME": {"run_timeout": 60}}'),
    ],
)
def test_a_list_that_is_no_json_is_told_how_it_is_written(
    monkeypatch: pytest.MonkeyPatch, name: str, example: str
) -> None:
    for text in ("", "bob", "https://a.example", "['bob']"):
        monkeypatch.setenv(name, text)
        assert refused() == f"{name} must be JSON, such as {example}"
    monkeypatch.setenv(name, example)
    load_settings()


def test_every_setting_that_is_read_as_json_has_an_example() -> None:
    reads = EnvSettingsSource(Settings).field_is_complex
    fields = Settings.model_fields.items()
    assert [name for name, field in fields if reads(field)] == [
        name for name, field in fields if field.examples
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "a.example",
        "a.example/",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example:443",
        "http://a.example:80",
        "https://*.a.example",
        "https://é.example",
        "*",
        "null",
        "",
        "https://",
        "https://a.example ",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    told = refused(allowed_origins=(origin,))
    assert f"allowed_origins: {origin!r} is no origin: write https://HOST" in told


def test_a_password_in_an_origin_is_not_shown() -> None:
    assert SECRET not in refused(allowed_origins=(f"https://bob:{SECRET}@a.example",))


def test_origins_are_compared_in_small_letters() -> None:
    given = "https://A.example", "http://[::1]:8000", "http://localhost:3000", "app-x://local"
    allowed = load_settings(allowed_origins=given).allowed_origins
    assert allowed == tuple(origin.lower() for origin in given)


def test_every_fault_is_told_at_once() -> None:
    told = refused(write('run_events = "x"\nbad_frames = "y"'))
    assert "run_events" in told
    assert "bad_frames" in told


# --- keys ----------------------------------------------------------------------------------


def test_jwt_needs_a_key() -> None:
    told = refused(write('auth = "jwt"'))
    assert "jwt_secret" in told
    assert "jwt_public_key" in told
    assert load_settings(jwt_secret=SECRET).auth is AuthMode.JWT
    assert load_settings(jwt_public_key="-----BEGIN").auth is AuthMode.JWT


def test_a_secret_has_at_least_32_bytes() -> None:
    assert "jwt_secret" in refused(jwt_secret="x" * 31)
    assert load_settings(jwt_secret="x" * 32)
    assert load_settings(jwt_secret="é" * 16)


@pytest.mark.parametrize(
    "text",
    [
        f'jwt_secret = "{SECRET}"\nrun_events = "x"',
        f'jwt_secret = "{SECRET[:20]}"',
        f'jwt_secret = ["{SECRET}"]',
        f'jwt_secrt = "{SECRET}"',
        f'jwt_secret = "{SECRET}',
        f"jwt_secret = {SECRET}",
        f'jwt_secret = "{SECRET}"\njwt_secret = "{SECRET}"',
        f'[jwt_secret]\nkey = "{SECRET}"',
        f'auth = "{SECRET}"',
    ],
)
def test_no_fault_tells_a_secret(text: str) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    error = caught.value
    record = logging.LogRecord("app", 40, __file__, 1, "%s", (error,), (type(error), error, None))
    for told in (str(error), repr(error), "".join(traceback.format_exception(error)), line(record)):
        assert SECRET[:14] not in told


def test_settings_do_not_show_the_secret() -> None:
    settings = load_settings(jwt_secret=SECRET)
    assert SECRET not in repr(settings)
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == SECRET
