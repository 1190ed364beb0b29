"""Files that are either as they were or whole."""

import errno

import pytest

from fairexit.files import replacing, write_atomically


def test_a_full_disk_is_told_of_the_file_and_leaves_it_as_it_was(tmp_path):
    file = tmp_path / "page.html"
    write_atomically(file, "old")
    with pytest.raises(OSError, match="No space left on device") as full, replacing(file):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(file)
    assert [f.name for f in tmp_path.iterdir()] == ["page.html"]
    assert file.read_text() == "old"


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        write_atomically(tmp_path, "new")
    assert tmp_path.is_dir()
