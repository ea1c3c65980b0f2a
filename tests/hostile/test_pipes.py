"""Named pipes among the data: they are refused by name, where reading one would wait for ever."""

import os

import pytest

from eval.box_files import read_box_file
from eval.discovery.boxes import read_boxes
from eval.discovery.files import read_list
from eval.segment.datasets.data import read_classes
from eval.uavdt.files import check_ignore, check_whole
from flsl.runtime.errors import UserError
from flsl.runtime.files import digest_of_files


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "read",
    [
        read_box_file,
        read_boxes,
        read_list,
        read_classes,
        check_ignore,
        lambda path: check_whole(path, None),
        lambda path: digest_of_files(path.parent, [path], contents=False),
    ],
)
def test_a_pipe_is_refused(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe (cannot be read|is not a box file)"):
        read(tmp_path / "pipe")
