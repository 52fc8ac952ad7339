"""The process that computes verdicts, as evalsuite sees it."""

import subprocess
import sys

from evalsuite.sandbox.checker_process import _asked


def test_an_answer_that_is_cut_counts_as_none() -> None:
    code = "import struct, sys; sys.stdout.buffer.write(struct.pack('Q', 10) + b'{\"pas'); sys.stdout.flush()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert _asked(process, b"") == (b"", False)
