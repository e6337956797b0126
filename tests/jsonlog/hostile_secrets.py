"""The hostile corpus: secrets, in keys, values, messages, exceptions and URLs."""

import base64
import dataclasses
import enum
from collections.abc import Callable, Iterator

import pydantic

from tests.jsonlog.hostile_case import MARK, Case, Law, Log

CANARY = "s3cr3tcanary"
BASIC = base64.b64encode(f"ann:{CANARY}".encode()).decode()
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.{CANARY}0a1b2c3d4e5f"
BODY = f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{CANARY}BKcwggSjAgEAAoIBAQC7"

UPPER = CANARY.upper()
LONG = CANARY * 3
API_KEYS: dict[str, str] = {
    "openai": f"sk-{LONG}",
    "openai of a project": f"sk-proj-{CANARY}_{CANARY}-T3BlbkFJ{CANARY}",
    "anthropic": f"sk-ant-api03-{LONG}-{CANARY}AA",
    "stripe": f"sk_live_{CANARY}",
    "stripe, test": f"sk_test_{CANARY}",
    "stripe, restricted": f"rk_live_{CANARY}",
    "stripe webhook": f"whsec_{CANARY}+/{CANARY}=",
    "github": f"ghp_{LONG}",
    "github oauth": f"gho_{LONG}",
    "github user": f"ghu_{LONG}",
    "github server": f"ghs_{LONG}",
    "github refresh": f"ghr_{LONG}",
    "github, fine-grained": f"github_pat_11{CANARY}_{LONG}",
    "gitlab": f"glpat-{CANARY}{CANARY}",
    "gitlab, routable": f"glpat-{CANARY}{CANARY}.01.0a1b2c3d4",
    "aws": f"AKIA{UPPER}7777",
    "aws, temporary": f"ASIA{UPPER}7777",
    "google": f"AIzaSy-{LONG}",
    "slack bot": f"xoxb-123456789012-{CANARY}",
    "slack user": f"xoxp-{CANARY}-1234",
    "slack app": f"xapp-1-A0123-{CANARY}",
    "slack, rotated": f"xoxe.xoxp-1-{LONG}",
    "slack webhook": f"https://hooks.slack.com/services/T0000000/B0000000/{CANARY}{CANARY}",
    "npm": f"npm_{LONG}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{CANARY}",
    "hugging face": f"hf_{LONG}",
    "stripe, restricted, test": f"rk_test_{CANARY}",
    "sendgrid": f"SG.{CANARY}0123456789.{LONG}",
    "digitalocean": f"dop_v1_{LONG}",
    "docker": f"dckr_pat_{LONG}",
    "shopify": f"shpat_{LONG}",
    "square": f"sq0atp-{LONG}",
    "vault": f"hvs.{LONG}",
    "google, access": f"ya29.{LONG}",
    "google, client": f"GOCSPX-{LONG}",
    "age": f"AGE-SECRET-KEY-1{UPPER}{UPPER}",
    "groq": f"gsk_{LONG}",
    "xai": f"xai-{LONG}",
    "perplexity": f"pplx-{LONG}",
    "replicate": f"r8_{LONG}",
    "linear": f"lin_api_{LONG}",
    "nvidia": f"nvapi-{LONG}",
    "tavily": f"tvly-dev-{LONG}",
    "pinecone": f"pcsk_{LONG}",
    "langsmith": f"lsv2_pt_{LONG}",
}
"""Keys that say by how they begin whose they are, with nothing else beside them."""

TEXTS: dict[str, str] = {
    "bearer header": f"Authorization: Bearer {CANARY}",
    "bearer, small": f"authorization: bearer {CANARY}",
    "bearer alone": f"sent Bearer {CANARY}== to it",
    "basic header": f"Authorization: Basic {BASIC}",
    "basic, small": f"proxy-authorization: basic {BASIC}",
    "curl with a header": f"curl -H 'Authorization: Bearer {CANARY}' https://a.b/",
    "curl with a user": f"curl https://ann:{CANARY}@a.b/",
    "cookie header": f"Cookie: sid={CANARY}; theme=dark",
    "cookie header, second": f"Cookie: theme=dark; sid={CANARY}",
    "set-cookie header": f"Set-Cookie: sid={CANARY}; Path=/; HttpOnly",
    "api key header": f"X-API-Key: {CANARY}",
    "jwt": f"the token {JWT} expired",
    "jwt in quotes": f'"{JWT}"',
    "jwt in a path": f"GET /verify/{JWT}/ok",
    "jwt as subprotocol": f"netra.v1, netra.token.{JWT}",
    "token in a query": f"GET /ws?token={CANARY}&x=1 HTTP/1.1",
    "token second in a query": f"/ws?x=1&access_token={CANARY}",
    "token in a fragment": f"https://a.b/cb#id_token={CANARY}&state=1",
    "ticket in a query": f"wss://a.b/ws?ticket={CANARY}",
    "api key in a query": f"https://a.b/v1?api_key={CANARY}&q=x",
    "camel case in a query": f"https://a.b/?apiKey={CANARY}&clientSecret={CANARY}",
    "escaped query": f"https://a.b/?next=%2Fcb%3Ftoken%3D{CANARY}%26x%3D1",
    "postgres": f"postgresql://ann:{CANARY}@db:5432/x",
    "postgres with an at": f"postgres://ann:p@{CANARY}@db/x",
    "postgres with escapes": f"postgresql+asyncpg://ann:%2F{CANARY}%40@db/x",
    "postgres with a query": f"postgresql://db/x?user=ann&password={CANARY}",
    "redis": f"redis://:{CANARY}@cache:6379/0",
    "mongodb": f"mongodb+srv://ann:{CANARY}@c.mongodb.net/?w=1",
    "amqp in a sentence": f"cannot reach amqps://ann:{CANARY}@mq/vhost, retrying",
    "libpq": f"host=db user=ann password={CANARY} dbname=x",
    "libpq in quotes": f"host=db password='a {CANARY}' dbname=x",
    "odbc": f"Driver={{x}};Server=db;Uid=ann;Pwd={CANARY};",
    "ado": f"Server=db;User Id=ann;Password={CANARY};Encrypt=yes",
    "jdbc": f"jdbc:mysql://db/x?user=ann&password={CANARY}",
    "environment": f"OPENAI_API_KEY={CANARY}",
    "exported": f"export AWS_SECRET_ACCESS_KEY='{CANARY}'",
    "yaml": f"db:\n  password: {CANARY}\n  user: ann",
    "sentence": f"login failed, password: {CANARY}",
    "json": f'{{"user": "ann", "password": "{CANARY}"}}',
    "json with a quote": f'{{"password": "a\\"{CANARY}"}}',
    "json in json": f'{{"body": "{{\\"password\\": \\"{CANARY}\\"}}"}}',
    "json of an array": f'{{"tokens": ["{CANARY}", "b"]}}',
    "json with a number": f'{{"client_secret":"{CANARY}","n":1}}',
    "python dict": f"{{'user': 'ann', 'password': '{CANARY}'}}",
    "python dict, double": f"{{'password': \"it's {CANARY}\"}}",
    "python dict of bytes": f"{{b'authorization': b'Bearer {CANARY}'}}",
    "python pairs": f"[(b'cookie', b'sid={CANARY}'), (b'a', b'b')]",
    "python call": f"connect(user='ann', password='{CANARY}')",
    "repr of a dataclass": f"Login(user='ann', secret='{CANARY}')",
    "cut off": f"{{'client_secret': '{CANARY} and no e",
    "command": f"psql --host db --password {CANARY} --user ann",
    "command with a key": f"run --api-key '{CANARY}'",
    "command's repr": f"Command '['psql', '--password', '{CANARY}']' returned 1",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n",
    "rsa key": f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----",
    "ssh key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----",
    "key with escapes": f"-----BEGIN PRIVATE KEY-----\\n{BODY}\\n-----END PRIVATE KEY-----\\n",
    "key that is cut": f"-----BEGIN EC PRIVATE KEY-----\n{BODY}\n{BODY}",
    "form": f"grant_type=password&username=ann&password={CANARY}&scope=x",
    "many": f"password={CANARY} token={CANARY}, Bearer {CANARY}; secret: {CANARY}",
    "after a megabyte's part": "x" * 16_000 + f" password={CANARY}",
    **API_KEYS,
    "openai's answer": f"Incorrect API key provided: sk-{LONG}. You can find yours at https://a.b",
    "key in a path": f"GET /v1/AIzaSy-{LONG}/models 404",
    "key in a query": f"https://a.b/v1?k=AIzaSy-{LONG}&q=x",
    "key in an escaped query": f"https://a.b/?next=%2Fcb%3Fk%3Dsk-{LONG}%26x%3D1",
    "key in a header": f"{{'x-goog-api': 'AIzaSy-{LONG}'}}",
    "key behind an escape": f"body was 'a\\nsk-{LONG}'",
    "key in json in json": f'{{"body": "{{\\"k\\":\\"ghp_{LONG}\\"}}"}}',
    "key as a user": f"git clone https://ghp_{LONG}@github.com/a/b",
    "jwt behind an escape": f"https://a.b/?next=%3Fj%3D{JWT}",
}
"""Texts with a secret that says by its shape what it is."""

SECRETS = (BASIC, UPPER, CANARY)
"""What must not be seen: of each text the first of these that stands in it."""

KEYS = (
    *("password", "Password", "DB_PASSWORD", "db-password", "userPassword", "passwd", "pwd"),
    *("passphrase", "secret", "client_secret", "clientSecret", "SECRET_KEY", "token", "tokens"),
    *("access_token", "refreshToken", "id_token", "api_key", "apikey", "apiKey", "x-api-key"),
    *("X-API-KEY", "OPENAI_API_KEY", "authorization", "Authorization", "proxy-authorization"),
    *("cookie", "Cookie", "set-cookie", "cookies", "credentials", "private_key", "jwt_secret"),
    *("signing_key", "encryption_key", "access_key", "secretAccessKey", "session_cookie"),
    *("AccountKey", "X-Auth-Key", "master_key", "Ocp-Apim-Subscription-Key"),
)
"""Names of what is a secret, whatever it looks like."""


class Field(enum.Enum):
    PASSWORD = 1


@dataclasses.dataclass
class Login:
    user: str
    password: object


class LoginModel(pydantic.BaseModel):
    user: str
    api_key: str


VALUES: dict[str, Callable[[], object]] = {
    "under a key, deep": lambda: {"a": [{"password": {"b": ["x", CANARY]}}]},
    "under a key, bytes": lambda: {"token": CANARY.encode()},
    "under a key of bytes": lambda: {b"password": CANARY},
    "under an enum": lambda: {Field.PASSWORD: CANARY},
    "headers as pairs": lambda: [("Authorization", f"Bearer {CANARY}"), ("a", "b")],
    "headers as pairs of bytes": lambda: [[b"cookie", f"sid={CANARY}".encode()]],
    "headers of a scope": lambda: {"headers": [(b"authorization", f"Token {CANARY}".encode())]},
    "headers as a flat list": lambda: {"rawHeaders": [["x-api-key", CANARY]]},
    "a command": lambda: ["psql", "--host", "db", "--password", CANARY, "--user", "ann"],
    "an environment": lambda: [{"name": "DB_PASSWORD", "value": CANARY}],
    "headers of an archive": lambda: {"headers": [{"name": "Cookie", "value": f"sid={CANARY}"}]},
    "a dataclass": lambda: Login("ann", CANARY),
    "a model": lambda: LoginModel(user="ann", api_key=CANARY),
    "a model's secret": lambda: pydantic.SecretStr(CANARY),
    "a number": lambda: {"password": [CANARY, 5]},
    "an error": lambda: ValueError(f"bad password={CANARY}"),
    "an error of a dict": lambda: KeyError({"password": CANARY}),
    "bytes of a header": f"Authorization: Bearer {CANARY}".encode,
    "a key that is one": lambda: {f"Bearer {CANARY}": 1},
    "a key that is a url": lambda: {f"redis://:{CANARY}@h": "up"},
    "a key of openai as a key": lambda: {f"sk-{LONG}": 1},
    "a key of github as a set": lambda: {f"ghp_{LONG}"},
    "a key of npm in an error of an error": lambda: [ValueError(KeyError(f"npm_{LONG}"))],
}
"""Values with a secret in them."""


def secrets() -> Iterator[Case]:
    """Yield each secret in each place where it can stand."""
    for name, text in TEXTS.items():
        secret = next(one for one in SECRETS if one in text)
        for place, call in _places(text).items():
            yield Case(f"{name}, {place}", Law.SECRET, call, secret=secret)
        told = Case(f"{name}, argument", Law.SECRET, _argument(text), secret=secret)
        yield told._replace(standard=True)
    for key in KEYS:
        yield Case(f"under {key}", Law.SECRET, _under(key), secret=CANARY)
        yield Case(f"under {key}, deep", Law.SECRET, _deep_under(key), secret=CANARY)
    told = Case("under value", Law.SECRET, lambda log: log.say(MARK, key="pwd", value=CANARY))
    yield told._replace(secret=CANARY)
    for name, make in VALUES.items():
        yield Case(f"in {name}", Law.SECRET, _value(make), secret=CANARY)


def _places(text: str) -> dict[str, Callable[[Log], object]]:
    return {
        "message": lambda log: log.say(f"{MARK}: {text}"),
        "field": lambda log: log.say(MARK, value=text),
        "list": lambda log: log.say(MARK, value={"a": [text]}),
        "error": lambda log: log.fail(MARK, _noted(text)),
    }


def _argument(text: str) -> Callable[[Log], object]:
    def call(log: Log) -> None:
        assert log.standard is not None
        log.standard.info("%s: %s", MARK, text)

    return call


def _under(key: str) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, **{key: CANARY})


def _deep_under(key: str) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, info=[{"a": {key: CANARY}}])


def _value(make: Callable[[], object]) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, value=make())


def _noted(text: str) -> BaseException:
    error = RuntimeError(text)
    error.add_note(text)
    error.__cause__ = KeyError(text)
    return error
