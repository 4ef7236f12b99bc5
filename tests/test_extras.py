"""Optional libraries."""

import pytest

from fdpipe.errors import Exit, MissingExtra
from fdpipe.extras import require


def test_an_installed_library_is_returned() -> None:
    assert require("json.decoder", extra="gpu").__name__ == "json.decoder"


def test_a_missing_one_says_how_to_install_it() -> None:
    with pytest.raises(MissingExtra, match=r"tensorrt_nonesuch .*pip install 'fdpipe\[gpu\]'") as caught:
        require("tensorrt_nonesuch", extra="gpu")
    assert caught.value.exit_code == Exit.MISSING_EXTRA
