"""Files that appear whole or not at all, and folders that cannot be written."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autogal.errors import AutogalError
from autogal.runtime.files import atomic, ensure_writable


def test_the_file_appears_at_the_end_only(tmp_path):
    path = tmp_path / "a.fits"
    path.write_text("old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path and temporary.suffix == ".fits"
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interruption_leaves_what_was_there(tmp_path, stop):
    path = tmp_path / "a.fits"
    path.write_text("old")
    with pytest.raises(stop), atomic(path) as temporary:
        temporary.write_text("half")
        raise stop
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_user_s_umask_decides_who_may_read(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("problem", "what", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "Free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk is full", "Free some space"),
        (OSError("Not enough space on disk: requested 9, available 3."), "disk is full", "Free some space"),
        (OSError("9840 requested and 2720 written"), "disk is full", "Free some space"),
        (OSError(errno.EACCES, "Permission denied"), "cannot be written", "permissions"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written", "out=FOLDER"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", "out=FOLDER"),
    ],
)
def test_what_the_file_system_refuses_is_said_with_a_remedy(tmp_path, problem, what, remedy):
    with pytest.raises(AutogalError, match=what) as caught, atomic(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise problem
    assert remedy in caught.value.remedy and not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["fits", "ecsv", "parquet"])
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_disk_that_fills_up_while_writing(tmp_path, format):
    """A limit on the size of files stands for the full disk: the kernel refuses a write half way."""
    script = f"""
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from results.scenes import make_cutout, make_fit
        from autogal.errors import AutogalError
        from autogal.results import Catalogue
        catalogue = Catalogue.from_fitted([make_cutout(str(i)) for i in range(40)], make_fit(40))
        out = Path({str(tmp_path)!r})
        path = Catalogue.from_fitted([make_cutout()], make_fit(1)).write(out, {format!r})
        before = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        try:
            catalogue.write(out, {format!r})
        except AutogalError as error:
            assert path.read_bytes() == before and list(out.iterdir()) == [path], list(out.iterdir())
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the disk is full" in done.stdout and "Free some space" in done.stdout


def test_a_folder_is_made_and_left_empty(tmp_path):
    folder = ensure_writable(tmp_path / "a" / "b")
    assert folder.is_dir() and not list(folder.iterdir())


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_a_file_in_the_place_of_the_folder(tmp_path, inside):
    (tmp_path / "taken").write_text("")
    with pytest.raises(AutogalError, match="a file is in its place"):
        ensure_writable(tmp_path / "taken" / inside)


@pytest.mark.parametrize("refusing", ["mkdir", "write_bytes"])
def test_a_read_only_folder_is_known_before_any_work(tmp_path, monkeypatch, refusing):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, refusing, refuse)
    with pytest.raises(AutogalError, match=f"{tmp_path.name} cannot be written") as caught:
        ensure_writable(tmp_path)
    assert "permissions" in caught.value.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(AutogalError, match="cannot be written"):
        ensure_writable(tmp_path)
