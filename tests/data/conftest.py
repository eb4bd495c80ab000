"""`folder` stands for the folder of a `.snn` file; `load` calls a source from there, `refuse` returns its finding."""

import pytest

from snnc.data.files import LoadContext
from snnc.data.sources import SOURCES
from snnc.diagnostics import CompileError
from snnc.source import Source, Span

TEXT = "data d = source()"


@pytest.fixture
def span():
    return Span(Source("m.snn", TEXT), 9, 17)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "project"
    path.mkdir()
    return path


@pytest.fixture
def load(folder, span):
    def call(source, data_dir=None, **arguments):
        return SOURCES[source].load(LoadContext(span, folder, data_dir), arguments)

    return call


@pytest.fixture
def refuse(load, span):
    """Return code, message and help of the one finding."""

    def call(source, data_dir=None, **arguments):
        with pytest.raises(CompileError) as caught:
            load(source, data_dir, **arguments)
        (finding,) = caught.value.diagnostics
        assert finding.span == span
        assert finding.help
        return finding.code.value, finding.message, finding.help

    return call
