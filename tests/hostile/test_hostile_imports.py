"""Imports stay in the folder of the file, end, and never open a pipe or a device; `extern` runs nothing unasked."""

import os

import pytest

HEAD = "edition 2026\n"
GOOD = HEAD + "const c = 1\n"


def importing(path):
    return HEAD + f'import "{path}" as other\nconst q = 1\n'


@pytest.mark.parametrize("path", ["../out.snn", "sub/../../out.snn", "OUT", "link.snn", "folder/out.snn", "zero.snn"])
def test_an_import_stays_in_the_folder(tmp_path, run_in, path):
    inside = tmp_path / "in"
    (inside / "sub").mkdir(parents=True)
    out = tmp_path / "out.snn"
    out.write_text("this is a secret\n")
    (inside / "link.snn").symlink_to(out)
    (inside / "folder").symlink_to(tmp_path)
    (inside / "zero.snn").symlink_to("/dev/zero")
    (inside / "m.snn").write_text(importing(path.replace("OUT", str(out))))

    result = run_in(inside, "check", "m.snn", seconds=20)

    assert result.returncode == 1
    assert "error[E0203]: an import may not leave the folder" in result.stderr
    assert "secret" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sub", "it is a folder"),
        ("", "it is a folder"),
        ("pipe.snn", "it is a pipe or a device"),
        ("loop.snn", "links lead in a circle"),
        ("https://example.org/a.snn", "there is no such file"),
        ("~/a.snn", "there is no such file"),
        ("a" * 300, "file name too long"),
    ],
)
def test_an_import_is_a_regular_file(tmp_path, refused, path, said):
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe.snn")
    (tmp_path / "loop.snn").symlink_to("loop.snn")
    (tmp_path / "m.snn").write_text(importing(path))

    refused("E0203", "check", "m.snn", said=said, seconds=20)


def test_a_link_inside_the_folder_is_followed(tmp_path, snnc):
    (tmp_path / "real.snn").write_text(GOOD)
    (tmp_path / "link.snn").symlink_to("real.snn")
    (tmp_path / "m.snn").write_text(importing("./link.snn"))

    assert snnc("check", "m.snn").returncode == 0


@pytest.mark.parametrize("start", ["m.snn", "a.snn", "link.snn"])
def test_circles_end(tmp_path, refused, start):
    (tmp_path / "m.snn").write_text(importing(f"./{start}"))
    (tmp_path / "a.snn").write_text(importing("./b.snn"))
    (tmp_path / "b.snn").write_text(importing("./a.snn"))
    (tmp_path / "link.snn").symlink_to("m.snn")

    refused("E0203", "check", "m.snn", said="import each other in a circle")


def test_a_long_row_of_imports_ends(tmp_path, refused):
    for i in range(100):
        (tmp_path / f"f{i}.snn").write_text(importing(f"./f{i + 1}.snn"))
    (tmp_path / "f100.snn").write_text(GOOD)

    refused("E0107", "check", "f0.snn", said="20 by one another in a row")


@pytest.mark.parametrize("path", ['"./f{}.snn"', '"./f0.snn"', "std.neurons"], ids=["files", "one-file", "library"])
def test_ten_thousand_imports_are_not_followed(tmp_path, refused, path):
    (tmp_path / "f0.snn").write_text(GOOD)
    lines = (f"import {path.format(i)} as x{i}" for i in range(10_000))
    (tmp_path / "m.snn").write_text(HEAD + "\n".join(lines) + "\n")

    refused("E0107", "check", "m.snn", said="this file has 10,000 imports, and at most 200 are read", seconds=20)


def test_files_that_import_many_are_counted_together(tmp_path, refused):
    for i in range(15):
        (tmp_path / f"f{i}.snn").write_text(HEAD + "".join(f'import "./g{i}_{j}.snn" as g{j}\n' for j in range(15)))
        for j in range(15):
            (tmp_path / f"g{i}_{j}.snn").write_text(GOOD)
    (tmp_path / "m.snn").write_text(HEAD + "".join(f'import "./f{i}.snn" as f{i}\n' for i in range(15)))

    refused("E0107", "check", "m.snn", said="at most 200 files")


EXTERN = """edition 2026
import std.neurons (LI)
extern loader mine(count) = python "TARGET"
network Net {
  dt = 1 ms
  input x : real[4]
  x -> dense(2) -> LI() as out
  output logits = mean_over_time(out.v)
}
data made = mine(60) -> hold(duration = 5 ms)
train it of Net on made {
  epochs = 1
  loss = cross_entropy(logits, label)
}
"""


@pytest.mark.parametrize("command", ["check", "compile", "train"])
def test_extern_without_the_flag_runs_nothing(tmp_path, refused, command):
    (tmp_path / "m.snn").write_text(EXTERN.replace("TARGET", "loader:load"))
    (tmp_path / "loader.py").write_text("open('RAN', 'w').close()\n\ndef load(count): ...\n")
    (tmp_path / "jax.py").write_text("open('RAN', 'w').close()\n")  # nor what lies beside the file by a known name

    refused("E0207", command, "m.snn")
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (
            "os:system",
            "E0605",
        ),  # a name it is: allowed to be called, it gets a number for a command, and gives no arrays
        ("__import__('os'):x", "E0407"),
        ("../up:load", "E0407"),
    ],
)
def test_extern_targets_are_dotted_names(tmp_path, refused, target, code):
    (tmp_path / "m.snn").write_text(EXTERN.replace("TARGET", target))

    refused(code, "train", "m.snn", "--allow-extern")
