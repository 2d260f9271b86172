"""What a path or glob means: against a simple oracle, on this machine's files and on objects."""

import fnmatch
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import storage
from pipelines.errors import InputError, UsageError
from pipelines.storage import objects, patterns, rubbish, walk
from pipelines.storage.objects import Objects
from pipelines.storage.store import Exclusions, FoundFile, Matches, Version

NAMES = ("a", "b.csv", "x[ab]", "xa", "_SUCCESS", ".c", "a*", "year=1")
PARTS = (*NAMES, "*", "**", "?", "*.csv", "[ax]*", "_*", ".*", "[!a]*", "x[a")
INPUT = Exclusions()


def put(root: Path, tree: Iterable[Sequence[str]]) -> None:
    """Writes files; a path that needs a file to be a folder, or the other way round, is skipped."""
    for parts in tree:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        except OSError:
            continue


def below(folder: Path, depth: int = 6) -> Iterator[Path]:
    """All files below a folder through all links, as far as `depth`."""
    for each in folder.iterdir() if depth else ():
        if each.is_dir():
            yield from below(each, depth - 1)
        elif each.is_file():
            yield each


def fits(folder: Path, parts: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a pattern matches a path below a folder, or a folder around it."""
    if not parts:
        return True
    if parts[0] == "**":
        deeper = bool(names) and fits(folder / names[0], parts, names[1:])
        return deeper or fits(folder, parts[1:], names)
    if not names:
        return False
    if os.path.lexists(folder / parts[0]):
        matched = names[0] == parts[0]
    else:
        matched = fnmatch.fnmatchcase(names[0], parts[0])
    return matched and fits(folder / names[0], parts[1:], names[1:])


trees = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), min_size=1, max_size=8)
targets = st.lists(st.sampled_from(NAMES), max_size=2)
links = st.lists(st.tuples(targets, st.sampled_from(["l", "m"])), max_size=2)


@settings(max_examples=150, deadline=None)
@given(tree=trees, linked=links, parts=st.lists(st.sampled_from(PARTS), max_size=4))
def test_a_pattern_finds_what_a_simple_search_finds(
    tree: list[list[str]], linked: list[tuple[list[str], str]], parts: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        put(root, tree)
        for target, link in linked:
            if not os.path.lexists(root / link):
                (root / link).symlink_to(root.joinpath(*target))
        pattern = "/".join([str(root), *parts])
        expected = {
            str(path.resolve())
            for path in below(root)
            if fits(root, parts, path.relative_to(root).parts)
        }
        try:
            found = storage.match(pattern, Exclusions(include_hidden=True))
        except UsageError:
            assert not expected
            # A glob that finds nothing isn't refused, unless its names exist as they are written.
            globs = [place for place, part in enumerate(parts, 1) if patterns.is_glob(part)]
            assert all(os.path.lexists(root.joinpath(*parts[:place])) for place in globs)
            return
        assert {file.real for file in found.files} == expected
        for file in found.files:
            assert os.path.realpath(file.path) == file.real
        # Left out by its name or not, nothing is lost.
        usual = storage.match(pattern, INPUT)
        left_out = set(map(os.path.realpath, usual.ignored))
        assert {file.real for file in usual.files} | left_out == expected


@settings(max_examples=150, deadline=None)
@given(tree=trees, parts=st.lists(st.sampled_from(PARTS), max_size=4))
def test_objects_are_matched_like_files(tree: list[list[str]], parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        put(root, tree)
        keys = [path.relative_to(root).as_posix() for path in below(root)]
        listed = [
            FoundFile(f"s3://b/{key}", Version(1, 0), f"s3://b/{key}", f"s3://b/{key}")
            for key in keys
        ]
        on_store = objects._Tree("s3://b", listed, ["s3://b"])
        found = outcome("s3://b", lambda: walk.find(on_store, "s3://b", parts, INPUT))
        pattern = "/".join([str(root), *parts])
        assert found == outcome(str(root), lambda: storage.match(pattern, INPUT))


def outcome(root: str, match: Callable[[], Matches]) -> object:
    """What was found, without the root; None if the pattern was refused."""
    try:
        found = match()
    except UsageError:
        return None
    files = [file.path.removeprefix(root) for file in found.files]
    ignored = {path.removeprefix(root): why for path, why in found.ignored.items()}
    return files, ignored, len(found.notes)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["top.csv"]),
        ("**/*.csv", ["d/e/deep.csv", "d/one.csv", "top.csv"]),
        ("**.csv", ["d/e/deep.csv", "d/one.csv", "top.csv"]),
        ("d**.csv", ["d/e/deep.csv", "d/one.csv"]),
        ("**/e", ["d/e/deep.csv"]),
        ("**", ["d/e/deep.csv", "d/one.csv", "p.parquet/part", "top.csv"]),
        ("***", ["d/e/deep.csv", "d/one.csv", "p.parquet/part", "top.csv"]),
        ("*.parquet", ["p.parquet/part"]),
        ("d/**/**/*.csv", ["d/e/deep.csv", "d/one.csv"]),
        ("d/.", None),
        ("[dt]*.csv", ["top.csv"]),
        ("none/*.csv", []),
        ("top.csv/*", []),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, found: list[str] | None) -> None:
    put(tmp_path, [("top.csv",), ("d", "one.csv"), ("d", "e", "deep.csv"), ("p.parquet", "part")])
    if found is None:
        found = ["d/e/deep.csv", "d/one.csv"]
    matched = storage.match(storage.absolute(f"{tmp_path}/{pattern}"), INPUT)
    assert [Path(file.path).relative_to(tmp_path).as_posix() for file in matched.files] == found


@pytest.mark.parametrize(
    "name", ["a[1].csv", "a\\b.csv", "a*.csv", "a?.csv", "[a].csv", "[!a]", "**"]
)
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_path_that_exists_is_that_file(tmp_path: Path, name: str, in_folder: bool) -> None:
    put(tmp_path, [(name, "f.csv") if in_folder else (name,)])
    put(tmp_path, [(other, "f.csv") if in_folder else (other,) for other in ("a1.csv", "a", "b")])
    pattern = f"{tmp_path}/{name}/*.csv" if in_folder else f"{tmp_path}/{name}"
    found = storage.match(pattern, INPUT)
    own = f"{tmp_path}/{name}/f.csv" if in_folder else pattern
    assert [file.path for file in found.files] == [own]
    fnmatched = {other for other in ("a1.csv", "a", "b") if fnmatch.fnmatchcase(other, name)}
    assert len(found.notes) == bool(fnmatched)
    assert all(f"{len(fnmatched)} other name" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("_SUCCESS", "_*"), ("_metadata", "_*"), (".part-0.parquet.crc", ".*"), ("a.crc", "*.crc"),
        ("~$night.csv", "~$*"), (".DS_Store", ".*"), ("Thumbs.db", "Thumbs.db"), ("A.TMP", "*.tmp"),
        ("night.csv.part", "*.part"), (".night2.csv", ".*"), ("a.csv~", "*~"), ("a.swp", "*.swp"),
        ("a.csv.crdownload", "*.crdownload"), ("desktop.ini", "desktop.ini"), ("_x=1", ""),
        ("a.csv", ""), ("a_b.csv", ""), ("year=2007", ""), ("a.csv.bak", ""),
    ],
)  # fmt: skip
def test_names_that_are_not_data(tmp_path: Path, name: str, rule: str) -> None:
    assert rubbish.find_rule(name) == rule
    put(tmp_path, [("in", "d", name), ("in", name + ".d", "f.csv")])
    found = storage.match(f"{tmp_path}/in", INPUT)
    assert found.ignored.get(f"{tmp_path}/in/d/{name}", "") == rule
    assert storage.match(f"{tmp_path}/in", Exclusions(include_hidden=True)).ignored == {}
    # A user who names it wants it.
    asked = [f"{tmp_path}/in/d/{name}", f"{tmp_path}/in/*/{name}"]
    if rule and "Thumbs" not in rule and "desktop" not in rule:
        asked.append(f"{tmp_path}/in/**/{rule}")
    for pattern in asked:
        paths = [file.path for file in storage.match(pattern, INPUT).files]
        assert f"{tmp_path}/in/d/{name}" in paths or name == "A.TMP"


def test_what_is_below_a_hidden_folder_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, [(".git", "x", "a.csv"), ("_temporary", "0", "b.csv"), ("_x=1", "c.csv")])
    found = storage.match(str(tmp_path), INPUT)
    assert [Path(file.path).name for file in found.files] == ["c.csv"]
    assert sorted(found.ignored.values()) == [".*", "_*"]
    assert len(storage.match(f"{tmp_path}/.git", INPUT).files) == 1


def test_pipes_sockets_and_broken_links_are_named(tmp_path: Path) -> None:
    put(tmp_path, [("a.csv",)])
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to("pipe.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere")
    (tmp_path / "self.csv").symlink_to("self.csv")
    (tmp_path / "null.csv").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "sock.csv"))
        found = storage.match(f"{tmp_path}/*.csv", INPUT)
        kinds = {Path(path).stem: kind for path, kind in found.not_files.items()}
        assert [Path(file.path).name for file in found.files] == ["a.csv"]
        assert kinds == {
            "pipe": "named pipe", "link": "named pipe", "gone": "link to nothing",
            "self": "link to nothing", "null": "character device", "sock": "socket",
        }  # fmt: skip
        for path, kind in found.not_files.items():
            with pytest.raises(UsageError, match=f"{path} is a {kind}"):
                storage.match(path, INPUT)


def test_links_that_lead_up_or_to_one_place_twice_end(tmp_path: Path) -> None:
    put(tmp_path, [("d", "e", "a.csv"), ("z", "b.csv")])
    (tmp_path / "d/up").symlink_to("..")
    (tmp_path / "0z").symlink_to("z")
    (tmp_path / "1z").symlink_to("z")
    for number in range(10):
        (tmp_path / f"z/{number}").symlink_to("..")
    for pattern in (f"{tmp_path}", f"{tmp_path}/**/*.csv"):
        found = storage.match(pattern, INPUT)
        names = [Path(file.path).relative_to(tmp_path).as_posix() for file in found.files]
        assert names == ["d/e/a.csv", "z/b.csv"]


def test_a_missing_path_is_refused_and_a_glob_is_not(tmp_path: Path) -> None:
    for name in ("none", "none.csv", "none/deeper.csv", "n" * 300):
        with pytest.raises(UsageError, match=f"{name} doesn't exist"):
            storage.match(f"{tmp_path}/{name}", INPUT)
    for name in ("none*", "none/*.csv", "*/none.csv", "[n]one.csv"):
        assert storage.match(f"{tmp_path}/{name}", INPUT).files == []


def test_what_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, [("a.csv",), ("locked", "b.csv"), (".hidden", "c.csv")])
    really_list = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name in ("locked", ".hidden"):
            raise PermissionError(13, "Permission denied", path)
        return really_list(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=f"cannot list {tmp_path}/locked: Permission denied"):
        storage.match(str(tmp_path), INPUT)
    # A folder that is passed through needn't be listable, nor one that is left out anyway.
    assert len(storage.match(f"{tmp_path}/locked/b.csv", INPUT).files) == 1
    assert len(storage.match(f"{tmp_path}/*.csv", INPUT).files) == 1
    (tmp_path / "locked/b.csv").unlink()
    (tmp_path / "locked").rmdir()
    assert storage.match(str(tmp_path), INPUT).ignored == {f"{tmp_path}/.hidden": ".*"}


def test_a_file_or_folder_that_vanishes_meanwhile_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, [("a.csv",), ("b.csv",), ("d", "c.csv")])
    really_list = os.scandir

    def scandir(path: str) -> object:
        found = really_list(path)
        if path == str(tmp_path):
            entries = list(found)
            (tmp_path / "a.csv").unlink()
            (tmp_path / "d/c.csv").unlink()
            (tmp_path / "d").rmdir()
            return Listing(entries)
        return found

    monkeypatch.setattr(os, "scandir", scandir)
    found = storage.match(str(tmp_path), INPUT)
    assert [Path(file.path).name for file in found.files] == ["b.csv"]
    assert found.not_files == {f"{tmp_path}/a.csv": "vanished file"}


class Listing(list):  # type: ignore[type-arg]
    """An `os.scandir` iterator that was read to its end."""

    def __enter__(self) -> "Listing":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("//x//y/", "/x/y"),
        ("file:///x/./y", "/x/y"),
        ("/x/../y", "/y"),
        ("{tmp}/link/../f.csv", "{tmp}/real/f.csv"),
        ("{tmp}/real/../f.csv", "{tmp}/f.csv"),
    ],
)
def test_absolute_paths_have_one_spelling(tmp_path: Path, given: str, path: str) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    tmp = str(tmp_path.resolve())
    assert storage.absolute(given.format(tmp=tmp)) == path.format(tmp=tmp)


class Listed(Objects):
    """A store whose listings are given, and that records what it is asked for."""

    def __init__(self, *keys: str) -> None:
        self.keys = [f"s3://b/{key}" for key in keys]
        self.asked: list[str] = []

    def exists(self, path: str) -> bool:
        return path in self.keys

    def read_version(self, path: str) -> Version:
        return Version(1, 0)

    def _list_prefix(self, prefix: str) -> list[FoundFile]:
        self.asked.append(prefix)
        return [
            FoundFile(key, Version(1, 0), key, key) for key in self.keys if key.startswith(prefix)
        ]


@pytest.mark.parametrize(
    ("pattern", "asked", "found"),
    [
        ("night/2026-11-2*", "night/2026-11-2", ["night/2026-11-21.csv"]),
        ("night", "night/", ["night/2026-11-21.csv", "night/d//e.csv", "night/y=1/p.parquet"]),
        ("night/", "night/", ["night/2026-11-21.csv", "night/d//e.csv", "night/y=1/p.parquet"]),
        ("night/2026-11-21.csv", None, ["night/2026-11-21.csv"]),
        ("x[old].csv", "x", ["x[old].csv"]),
        ("x[old]/*.csv", "x", ["x[old]/f.csv"]),
        ("night2*/**/*.csv", "night2", ["night2/z.csv"]),
        ("empty/", "empty/", []),
    ],
)
def test_a_store_lists_no_more_than_the_pattern_can_match(
    pattern: str, asked: str | None, found: list[str]
) -> None:
    store = Listed(
        "night/2026-11-21.csv", "night/d//e.csv", "night/y=1/p.parquet", "night/_SUCCESS",
        "night2/z.csv", "x[old].csv", "xo.csv", "x[old]/f.csv", "xo/f.csv",
    )  # fmt: skip
    matched = store.match(f"s3://b/{pattern}", INPUT)
    assert [file.path for file in matched.files] == [f"s3://b/{key}" for key in found]
    assert store.asked == ([] if asked is None else [f"s3://b/{asked}"])


def test_an_object_that_does_not_exist_is_refused() -> None:
    for path in ("none.csv", "nig", "night/none"):
        with pytest.raises(UsageError, match="doesn't exist"):
            Listed("night/a.csv").match(f"s3://b/{path}", INPUT)
