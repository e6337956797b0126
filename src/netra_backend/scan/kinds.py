"""Kinds of values, as encoders tell them apart, and the well-known classes of each kind."""

import builtins
from enum import Enum


class Kind(Enum):
    """What an encoder sees in an instance."""

    UNKNOWN = "something unknown"
    TEXT = "string"
    NUMBER = "number"
    NOTHING = "None"
    ARRAY = "list or tuple"
    MAPPING = "dict"
    ENUM = "plain enum"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    TIMEDELTA = "timedelta"
    TIMEZONE = "timezone"
    UUID = "UUID"
    DECIMAL = "Decimal"
    FRACTION = "fraction"
    COMPLEX = "complex number"
    BYTES = "bytes"
    BUFFER = "buffer"
    PATH = "path"
    SET = "set"
    DEQUE = "deque"
    VIEW = "dict view"
    ITERATOR = "iterator"
    COROUTINE = "coroutine"
    FUTURE = "future or task"
    EXCEPTION = "exception"
    RESOURCE = "live resource"
    DATACLASS = "dataclass"
    ATTRS = "attrs class"
    STRUCT = "msgspec Struct"
    MODEL = "pydantic model"
    MODEL_1 = "pydantic 1 model"
    ROW = "database row"
    ARRAY_DATA = "numpy or pandas data"
    CALLABLE = "function"
    CLASS = "class"
    MODULE = "module"
    OPAQUE = "library object"
    """Of a class that everybody has; it may look like a dict or a string, and is neither."""
    OBJECT = "plain object"


PLAIN = frozenset({Kind.TEXT, Kind.NUMBER, Kind.NOTHING, Kind.ARRAY, Kind.MAPPING})
"""What JSON has a form for."""

VAGUE = frozenset({Kind.UNKNOWN, Kind.OBJECT})
"""Kinds of which a subclass may be anything, so that a declaration alone proves little."""

_NAMES: dict[Kind, str] = {
    Kind.TEXT: "builtins.str",
    Kind.NUMBER: "builtins.int builtins.float builtins.bool numpy.float64",
    Kind.NOTHING: "builtins.NoneType types.NoneType",
    Kind.ARRAY: "builtins.list builtins.tuple typing.NamedTuple",
    Kind.MAPPING: "builtins.dict collections.OrderedDict collections.defaultdict"
    " collections.Counter typing.TypedDict typing_extensions.TypedDict",
    Kind.ENUM: "enum.Enum enum.Flag",
    Kind.DATETIME: "datetime.datetime pandas.Timestamp pendulum.DateTime",
    Kind.DATE: "datetime.date",
    Kind.TIME: "datetime.time",
    Kind.TIMEDELTA: "datetime.timedelta pandas.Timedelta",
    Kind.TIMEZONE: "datetime.timezone datetime.tzinfo zoneinfo.ZoneInfo",
    Kind.UUID: "uuid.UUID",
    Kind.DECIMAL: "decimal.Decimal",
    Kind.FRACTION: "fractions.Fraction",
    Kind.COMPLEX: "builtins.complex",
    Kind.BYTES: "builtins.bytes",
    Kind.BUFFER: "builtins.bytearray builtins.memoryview array.array",
    Kind.PATH: "pathlib.Path pathlib.PurePath pathlib.PosixPath pathlib.WindowsPath"
    " pathlib.PurePosixPath pathlib.PureWindowsPath anyio.Path os.PathLike",
    Kind.SET: "builtins.set builtins.frozenset",
    Kind.DEQUE: "collections.deque",
    Kind.VIEW: "builtins.dict_keys builtins.dict_values builtins.dict_items",
    Kind.ITERATOR: "builtins.range builtins.map builtins.filter builtins.zip builtins.enumerate"
    " builtins.reversed types.GeneratorType types.AsyncGeneratorType collections.abc.Generator"
    " collections.abc.AsyncGenerator itertools.groupby itertools._grouper",
    Kind.COROUTINE: "types.CoroutineType collections.abc.Coroutine",
    Kind.FUTURE: "asyncio.Future asyncio.Task concurrent.futures.Future asyncio.futures.Future"
    " asyncio.tasks.Task",
    Kind.EXCEPTION: "builtins.BaseException",
    Kind.RESOURCE: "socket.socket ssl.SSLContext ssl.SSLSocket threading.Thread threading.Event"
    " asyncio.Lock asyncio.Event asyncio.Queue asyncio.Semaphore asyncio.StreamReader"
    " asyncio.StreamWriter subprocess.Popen sqlite3.Connection sqlite3.Cursor queue.Queue"
    " logging.Logger logging.LogRecord builtins.file io.StringIO io.BytesIO types.FrameType"
    " io.BufferedReader types.TracebackType re.Pattern re.Match inspect.Signature"
    " contextvars.ContextVar"
    " starlette.websockets.WebSocket starlette.requests.Request starlette.requests.HTTPConnection"
    " starlette.responses.Response starlette.datastructures.UploadFile httpx.Response"
    " httpx.Client httpx.AsyncClient requests.Response requests.Session"
    " requests.models.Response requests.sessions.Session aiohttp.ClientSession"
    " aiohttp.ClientResponse aiohttp.web.WebSocketResponse aiohttp.web.Request"
    " websockets.asyncio.connection.Connection websockets.asyncio.server.ServerConnection"
    " websockets.asyncio.client.ClientConnection redis.Redis redis.asyncio.Redis"
    " sqlalchemy.engine.Engine sqlalchemy.orm.Session sqlalchemy.ext.asyncio.AsyncSession",
    Kind.STRUCT: "msgspec.Struct",
    Kind.MODEL: "pydantic.BaseModel pydantic.main.BaseModel pydantic_settings.BaseSettings"
    " sqlmodel.SQLModel",
    Kind.MODEL_1: "pydantic.v1.BaseModel pydantic.v1.main.BaseModel",
    Kind.ROW: "sqlalchemy.Row sqlalchemy.engine.Row sqlalchemy.engine.row.Row"
    " sqlalchemy.RowMapping sqlalchemy.engine.RowMapping sqlite3.Row asyncpg.Record"
    " sqlalchemy.orm.DeclarativeBase django.db.models.Model"
    " sqlalchemy.orm.declarative_base sqlalchemy.ext.declarative.declarative_base",
    Kind.ARRAY_DATA: "numpy.ndarray numpy.int64 numpy.int32 numpy.int16 numpy.int8 numpy.uint8"
    " numpy.uint16 numpy.uint32 numpy.uint64 numpy.float32 numpy.float16 numpy.bool_"
    " numpy.datetime64 pandas.DataFrame pandas.Series torch.Tensor",
    Kind.CALLABLE: "types.FunctionType types.MethodType types.BuiltinFunctionType"
    " types.LambdaType functools.partial builtins.function",
    Kind.CLASS: "builtins.type",
    Kind.MODULE: "types.ModuleType",
    Kind.OPAQUE: "types.SimpleNamespace types.MappingProxyType string.Template"
    " collections.ChainMap ipaddress.IPv4Address ipaddress.IPv6Address ipaddress.IPv4Network"
    " ipaddress.IPv6Network ipaddress.IPv4Interface ipaddress.IPv6Interface"
    " email.message.Message email.message.EmailMessage http.cookiejar.CookieJar"
    " configparser.ConfigParser starlette.datastructures.URL starlette.datastructures.Headers"
    " starlette.datastructures.MutableHeaders starlette.datastructures.QueryParams"
    " starlette.datastructures.FormData starlette.datastructures.State"
    " starlette.datastructures.Secret requests.structures.CaseInsensitiveDict"
    " requests.cookies.RequestsCookieJar httpx.Headers httpx.URL httpx.QueryParams httpx.Cookies"
    " yarl.URL multidict.CIMultiDict multidict.CIMultiDictProxy multidict.MultiDict"
    " multidict.MultiDictProxy pydantic.SecretStr pydantic.SecretBytes pandas.Index",
    Kind.OBJECT: "builtins.object builtins.ellipsis",
    Kind.UNKNOWN: "typing.Protocol typing.Generic typing_extensions.Protocol abc.ABC",
}

KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
"""Well-known classes by their dotted names."""

KINDS.update(
    (f"builtins.{name}", Kind.EXCEPTION)
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)

MIXINS = frozenset({"typing.Protocol", "typing.Generic", "typing_extensions.Protocol", "abc.ABC"})
"""Bases that say nothing of what an instance is."""

ITERABLES = frozenset(
    f"collections.abc.{name}"
    for name in ("AsyncIterable", "AsyncIterator", "Collection", "Iterable", "Iterator")
) | {"sqlalchemy.engine.ScalarResult", "sqlalchemy.orm.Query"}
"""Of what they are nothing is said, but of what they give."""

DATACLASS_DECORATORS = frozenset(
    {"dataclasses.dataclass", "pydantic.dataclasses.dataclass", "dataclass_transform"}
)
ATTRS_DECORATORS = frozenset(
    {"attr.s", "attr.attrs", "attr.define", "attr.frozen", "attr.dataclass", "attr.mutable"}
    | {"attrs.define", "attrs.frozen", "attrs.mutable"}
)
