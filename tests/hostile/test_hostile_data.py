"""Poisoned data and weights: nothing is unpickled, nothing is believed, nothing grows beyond memory."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hostile_cases import cases

from snnc.diagnostics import Code

MUCH = 4 << 30
LABEL = np.arange(240) % 3
PIXELS = np.random.default_rng(0).normal(size=(3, 8))[LABEL].astype(np.float32)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch UNPICKLED",)


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(np.asarray(content)))
    return stream.getvalue()


def header(shape, rest=b""):
    """An .npy member of float32 that declares `shape`, whatever follows."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + rest


def claiming(size):
    """An archive whose first member claims to unpack to `size` bytes (its 64-bit field says so)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("pixels.npy")
        with archive.open(info, "w", force_zip64=True) as member:
            member.write(header((size // 32, 8)))
        info.file_size = size
        archive.writestr("label.npy", npy(LABEL))
    return stream.getvalue()


def with_one(value):
    poisoned = PIXELS.copy()
    poisoned[3, 2] = value
    return poisoned


GOOD = npz(pixels=PIXELS, label=LABEL)
OBJECTS = np.empty(240, object)
OBJECTS[:] = [Bomb()] * 240
EVIL = b"__import__('os').system('touch UNPICKLED')".ljust(59) + b"\n"


@pytest.mark.parametrize(
    ("content", "said"),
    cases(
        (
            "pickle pickled-labels bare-pickle code-in-header deep-header lying-header negative-shape hundred-gigabytes nan inf "
            "overflow complex text negative-label half-label wide-label huge-label short-label no-samples no-training "
            "path-as-name no-fields cut empty flipped"
        ),
        [
            (npz(pixels=OBJECTS, label=LABEL), "holds Python objects (a pickle), which are never read"),
            (npz(pixels=PIXELS, label=OBJECTS), "holds Python objects (a pickle), which are never read"),
            (pickle.dumps(Bomb()), "not a zip file"),
            (npz(pixels=b"\x93NUMPY\x01\x00" + struct.pack("<H", 60) + EVIL, label=LABEL), "is damaged"),
            (npz(pixels=header("(" * 9000 + ")" * 9000), label=LABEL), "is damaged"),
            (npz(pixels=header((240, 10**9)), label=LABEL), "declares shape (240, 1000000000)"),
            (npz(pixels=header((-1, 8)), label=LABEL), "declares shape (-1, 8)"),
            (claiming(100 * 2**30), "declares 100.0 GiB of data; at most 8 GiB are read"),
            (npz(pixels=with_one(np.nan), label=LABEL), "the first in sample 3"),
            (npz(pixels=with_one(np.inf), label=LABEL), "the first in sample 3"),
            (npz(pixels=np.full((240, 8), 1e300), label=LABEL), "too large for float32"),
            (npz(pixels=PIXELS.astype(complex), label=LABEL), "not numbers"),
            (npz(pixels=np.full((240, 8), "x"), label=LABEL), "not numbers"),
            (npz(pixels=PIXELS, label=LABEL - 1), "sample 0 has -1"),
            (npz(pixels=PIXELS, label=LABEL + 0.5), "sample 0 has 0.5"),
            (npz(pixels=PIXELS, label=LABEL + 2), "goes up to 4"),
            (npz(pixels=PIXELS, label=LABEL + 2**40), "must hold class numbers"),
            (npz(pixels=PIXELS, label=LABEL[:100]), "differ in length"),
            (npz(pixels=PIXELS[:0], label=LABEL[:0]), "is empty"),
            (npz(pixels=PIXELS, label=LABEL, split=np.ones(240, np.uint8)), "some of them for training"),
            (npz(**{"../../evil": PIXELS, "label": LABEL}), "is not a name"),
            (npz(), "holds no fields"),
            (GOOD[: len(GOOD) // 2], "cannot be read"),
            (b"", "cannot be read"),
            (GOOD[:80] + b"\xff\xff\xff" + GOOD[83:], "cannot be read"),
        ],
        quick="pickle code-in-header lying-header hundred-gigabytes nan negative-label no-training path-as-name flipped",
    ),
)
def test_poisoned_archives(tmp_path, write_model, refused, content, said):
    write_model(source='npz("blobs.npz")' if b"split.npy" in content else 'npz("blobs.npz", val = 0.2, test = 0.2)')
    (tmp_path / "blobs.npz").write_bytes(content)

    refused(Code.BAD_DATA, "data", "model.snn", "-o", "out.npz", said=said, seconds=20)


def idx(shape, content, kind=8):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + content


IMAGES, LABELS = idx((240, 8), bytes(240 * 8)), idx((240,), bytes(LABEL.tolist()))


@pytest.mark.parametrize(
    ("images", "said"),
    cases(
        "overflow gigabyte more-than-there less-than-there axes empty cut-gz garbage-gz bomb-gz swapped",
        [
            (idx((2**32 - 1, 2**32 - 1), b"x"), "declares"),
            (idx((2**27, 8), b"x"), "declares 1.0 GiB of data; this computer has"),
            (idx((241, 8), bytes(240 * 8)), "declares shape (241, 8)"),
            (idx((10, 8), bytes(240 * 8)), "holds more than that"),
            (b"\0\0\x08\xff" + bytes(2000), "not the start of an IDX file"),
            (b"", "not the start of an IDX file"),
            (gzip.compress(IMAGES)[:-20], "cannot be read"),
            (b"\x1f\x8b" + bytes(300), "cannot be read"),
            (gzip.compress(IMAGES[:20]) + gzip.compress(bytes(1 << 26)) * 40, "holds more than that"),
            (LABELS, "it holds no images"),
        ],
        quick="gigabyte more-than-there bomb-gz",
    ),
)
def test_lying_idx_files(tmp_path, write_model, refused, images, said):
    write_model(source='idx("images", "labels", val = 0.2, test = 0.2)')
    (tmp_path / "images").write_bytes(images)
    (tmp_path / "labels").write_bytes(LABELS)

    refused(Code.BAD_DATA, "data", "model.snn", "-o", "out.npz", said=said, seconds=20)


ROWS = [",".join(f"{value:.3f}" for value in row) + f",{label}" for row, label in zip(PIXELS, LABEL, strict=True)]


@pytest.mark.parametrize(
    ("line", "said"),
    cases(
        "ragged formula nan inf negative-label nul long",
        [
            ("1,2", "has 2 columns in line 6 and 9 in its first line"),
            ("=cmd|' /C calc'!A0,2,3,4,5,6,7,8,1", "which is not a number"),
            ("nan,2,3,4,5,6,7,8,1", "NaN"),
            ("1e999,2,3,4,5,6,7,8,1", "infinite"),
            ("1,2,3,4,5,6,7,8,-1", "must hold class numbers"),
            ("\0", "columns in line 6"),
            ("a" * 1_000_000 + ",2,3,4,5,6,7,8,9", "which is not a number"),
        ],
        quick="ragged formula",
    ),
)
def test_spoilt_tables(tmp_path, write_model, refused, line, said):
    write_model(source='csv("table.csv", val = 0.2, test = 0.2)')
    (tmp_path / "table.csv").write_text("\n".join([*ROWS[:5], line, *ROWS[5:]]) + "\n")

    refused(Code.BAD_DATA, "data", "model.snn", "-o", "out.npz", said=said, seconds=20)


@pytest.mark.parametrize("path", ["/etc/passwd", "link.npz", "pipe.npz", "loop.npz"])
def test_data_files_are_regular_files_of_the_folder(tmp_path, write_model, refused, path):
    (tmp_path / "link.npz").symlink_to("/etc/passwd")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    write_model(source=f'npz("{path}")')

    refused(Code.BAD_DATA, "data", "model.snn", "-o", "out.npz", seconds=20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_model_to, run_in):
    """The tensors' header and bytes of a trained model."""
    folder = tmp_path_factory.mktemp("trained")
    write_model_to(folder)
    (folder / "blobs.npz").write_bytes(GOOD)
    done = run_in(folder, "train", "model.snn", "--no-plots", memory=MUCH)
    assert done.returncode == 0, done.stderr
    content = (folder / "runs" / "model" / "weights.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def packed(about, body):
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + body


def changed(about, **entry):
    first = next(name for name in about if name != "__metadata__")
    return {**about, first: {**about[first], **entry}}


POISONED = {
    "cut": lambda about, body: packed(about, body[:-5]),
    "empty": lambda about, body: b"",
    "pickle": lambda about, body: pickle.dumps(Bomb()),
    "archive": lambda about, body: GOOD,
    "endless header": lambda about, body: struct.pack("<Q", 2**63 - 1) + b"{}",
    "long header": lambda about, body: struct.pack("<Q", 100_000_000) + b"{}",
    "deep header": lambda about, body: packed(b'{"a":' + b"[" * 100_000, body),
    "lying shape": lambda about, body: packed(changed(about, shape=[10**9, 10**9]), body),
    "lying place": lambda about, body: packed(changed(about, data_offsets=[0, 10**15]), body),
    "lying type": lambda about, body: packed(changed(about, dtype="F64"), body),
    "foreign": lambda about, body: packed({**about, "__metadata__": {"model_hash": "0" * 64}}, body),
    "no hash": lambda about, body: packed({k: v for k, v in about.items() if k != "__metadata__"}, body),
    "nan": lambda about, body: packed(about, struct.pack("<f", np.nan) + body[4:]),
    "inf": lambda about, body: packed(about, struct.pack("<f", np.inf) + body[4:]),
}


QUICK = {"pickle", "lying shape", "foreign", "nan"}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=() if k in QUICK else pytest.mark.long) for k in POISONED])
def test_poisoned_weights(tmp_path, write_model, refused, trained, kind):
    write_model()
    (tmp_path / "blobs.npz").write_bytes(GOOD)
    (tmp_path / "w.safetensors").write_bytes(POISONED[kind](*trained))

    refused(Code.BAD_WEIGHTS, "eval", "model.snn", "--weights", "w.safetensors", memory=MUCH)
    if kind == "nan":
        refused(Code.BAD_WEIGHTS, "run", "model.snn", "--weights", "w.safetensors", memory=MUCH)
