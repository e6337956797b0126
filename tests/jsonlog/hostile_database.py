"""Values of SQLAlchemy that people log: rows, instances and parts of queries."""

from collections.abc import Callable, Iterator

import sqlalchemy
from sqlalchemy import orm


class Base(orm.DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    posts: orm.Mapped[list["Post"]] = orm.relationship(back_populates="author")


class Post(Base):
    __tablename__ = "post"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sqlalchemy.ForeignKey("user.id"))
    author: orm.Mapped[User] = orm.relationship(back_populates="posts")


def rows() -> Iterator[object]:
    """Yield a row, an expired instance without its session, and an instance in a relationship."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        user = User(id=1, name="ann")
        session.add_all([user, Post(id=1, author=user)])
        session.commit()
        yield session.execute(sqlalchemy.select(User.id, User.name)).one()
        yield session.scalars(sqlalchemy.select(Post)).one()
        yield engine
        session.expire_all()
    yield user  # reading an attribute of it raises DetachedInstanceError
    engine.dispose()


def row(number: int) -> Callable[[], object]:
    return lambda: list(rows())[number]


VALUES: dict[str, Callable[[], object]] = {
    "row of a query": row(0),
    "instance in a relationship": row(1),
    "engine": row(2),
    "detached instance": row(3),
    "query": lambda: sqlalchemy.select(User).where(User.id == 1),
    "column comparison": lambda: [User.id == 1, User.name],
    "mapped class": lambda: User,
}
