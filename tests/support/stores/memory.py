"""An in-memory object store with conditional writes and its own clock, for crash tests."""

import hashlib
import threading
from collections.abc import Callable, Iterable

from pipelines.storage.objects import Object, Objects, ReadObject


class Memory(Objects):
    """The objects of one store.

    Attributes:
      now: the store's clock, which the test moves.
      content: bytes by path.
      before: called before each change of an object.
      after: called after each.
    """

    def __init__(self, *, honours_conditions: bool = True) -> None:
        self.now = 1_000_000_000.0
        self.content: dict[str, bytes] = {}
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self._honours_conditions = honours_conditions
        self._modified: dict[str, float] = {}
        self._lock = threading.Lock()

    def list(self, folder: str) -> list[Object]:
        with self._lock:
            return sorted(
                Object(path, len(content), self._modified[path])
                for path, content in self.content.items()
                if path.startswith(f"{folder.rstrip('/')}/")
            )

    def read(self, path: str) -> ReadObject | None:
        content = self.content.get(path)
        return None if content is None else ReadObject(content, _etag(content))

    def exists(self, path: str) -> bool:
        return path in self.content

    def read_bytes(self, path: str) -> bytes:
        return self.content[path]

    def put(self, path: str, content: bytes) -> None:
        self._change(path, content, lambda _: True)

    def lacks_conditions(self, path: str) -> str | None:
        return None if self._honours_conditions else "ignores conditional writes"

    def copy(self, source: str, target: str) -> None:
        found = self.read(source)
        if found is None:
            raise OSError(f"no such object: {source}")
        self.put(target, found.content)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._change(path, None, lambda _: True)

    def _create(self, path: str, content: bytes) -> bool:
        return self._change(path, content, lambda found: found is None)

    def _replace(self, path: str, content: bytes, etag: str) -> bool:
        return self._change(path, content, lambda found: found is not None and _etag(found) == etag)

    def _remove(self, path: str, etag: str) -> None:
        self._change(path, None, lambda found: found is not None and _etag(found) == etag)

    def _change(
        self, path: str, content: bytes | None, allowed: Callable[[bytes | None], bool]
    ) -> bool:
        """Writes or deletes an object conditionally; returns whether it then holds the content."""
        self.before(path)
        with self._lock:
            if not self._honours_conditions or allowed(self.content.get(path)):
                if content is None:
                    self.content.pop(path, None)
                else:
                    self.content[path], self._modified[path] = content, self.now
            done = self.content.get(path) == content
        self.after(path)
        return done


def _etag(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
