"""Files that are no model: too large, no text, no file; and expressions, names and numbers beyond all measure."""

import os

import pytest
from hostile_cases import cases

HEAD = "edition 2026\n"
DEEP = 10_000


@pytest.mark.parametrize(
    ("content", "code"),
    cases(
        (
            "empty mark-only blanks noise nul latin1 utf16 utf16-no-mark utf32 line-ends line-separator escape bidi cyrillic"
        ),
        [
            (b"", "E0104"),
            (b"\xef\xbb\xbf", "E0104"),
            (b" \r\n\t\r \n", "E0104"),
            (os.urandom(100_000) + b"\0", "E0108"),
            (HEAD.encode() + b"const a\0 = 1\n", "E0108"),
            (HEAD.encode() + b"# caf\xe9\n", "E0108"),
            ((HEAD + "const a = 1\n").encode("utf-16"), "E0108"),
            ((HEAD + "const a = 1\n").encode("utf-16-be"), "E0108"),
            ((HEAD + "const a = 1\n").encode("utf-32"), "E0108"),
            (b"edition 2026\r\rconst a = 1\r\nconst a = 2\n", "E0202"),
            ((HEAD + "const a = 1\u2028const b = 2\n").encode(), "E0102"),
            ((HEAD + "const a = \x1b[2J1\n").encode(), "E0102"),
            ((HEAD + "const a = \u202e1\n").encode(), "E0102"),
            ((HEAD + "const \u0430 = 1\n").encode(), "E0102"),
        ],
        quick="empty noise utf16 line-ends escape bidi",
    ),
)
def test_what_is_no_model_is_a_finding(tmp_path, refused, content, code):
    (tmp_path / "m.snn").write_bytes(content)

    result = refused(code, "check", "m.snn")

    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr


@pytest.mark.parametrize("command", ["fmt", "compile", "train"])
def test_every_command_refuses_noise(tmp_path, refused, command):
    (tmp_path / "m.snn").write_bytes(bytes(range(256)) * 400)

    refused("E0108", command, "m.snn")


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_a_hundred_megabytes_are_not_read(tmp_path, snnc, command):
    with (tmp_path / "m.snn").open("wb") as file:
        file.write(HEAD.encode() + b"# ")
        file.truncate(100_000_000)

    result = snnc(command, "m.snn", memory=256 << 20, seconds=20)

    assert result.returncode == 1
    assert "error[E0107]: this file is too large: 100.0 MB" in result.stderr


@pytest.mark.parametrize("command", ["check", "fmt", "train"])
def test_a_pipe_is_not_waited_for(tmp_path, refused, command):
    os.mkfifo(tmp_path / "m.snn")

    refused("E0203", command, "m.snn", said="this is a pipe or a device", seconds=20)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/random"])
def test_a_device_is_not_read(refused, device):
    refused("E0203", "check", device, said="this is a pipe or a device", memory=256 << 20, seconds=20)


def test_a_folder_and_a_missing_file_are_wrong_use(tmp_path, snnc):
    (tmp_path / "folder.snn").mkdir()

    for path in ("folder.snn", "missing.snn"):
        for command in ("check", "train"):
            result = snnc(command, path)
            assert result.returncode == 2
            assert path in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_a_finding(tmp_path, snnc):
    (tmp_path / "m.snn").write_text(HEAD)
    (tmp_path / "m.snn").chmod(0)

    result = snnc("check", "m.snn")

    assert result.returncode == 1
    assert "permission denied" in result.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    cases(
        (
            "brackets calls minus not if power python-power sum comparison blocks lists dots name defined unit digits path "
            "huge tiny ten-megabytes constants unit-power unit-power-of-power"
        ),
        [
            ("const a = " + "(" * DEEP + "1" + ")" * DEEP, "E0107"),
            ("const a = " + "exp(" * DEEP + "1" + ")" * DEEP, "E0107"),
            ("const a = " + "-" * DEEP + "1", "E0107"),
            ("fn a(x) = " + "not " * DEEP + "x", "E0107"),
            ("const a = " + "1 if 1 > 0 else " * DEEP + "1", "E0107"),
            ("const a = " + "1 ^ " * DEEP + "1", "E0107"),
            ("const a = " + "1 ** " * DEEP + "1", "E0101"),
            ("const a = " + "1 + " * DEEP + "1", "E0107"),
            ("const a = " + "1 < " * DEEP + "1", "E0107"),
            ("network N " + "{ " * DEEP + "}" * DEEP, "E0107"),
            ("const a = " + "[" * DEEP, "E0107"),
            ("const a = " + ".".join(["a"] * DEEP), "E0107"),
            ("const a = " + "a" * 900_000, "E0107"),
            ("const " + "a" * 900_000 + " = 1", "E0107"),
            ("const a = 1 " + "m" * 900_000, "E0107"),
            ("const a = " + "9" * 900_000, "E0107"),
            ('import "' + "a/" * 3000 + 'b.snn"', "E0107"),
            ("const a = 1e999999", "E0107"),
            ("const a = 1e-999999", "E0107"),
            ("const a = 1 + " + "1 + " * 2_500_000 + "1", "E0107"),
            ("\n".join(f"const a{i + 1} = a{i} * a{i}" for i in range(300)) + "\nconst a0 = 2 mV", "E0107"),
            ("const a = (1 mV)^1000000000 + 1 mV", "E0302"),
            ("const a = (1 mV)^(10^9)", "E0303"),
        ],
        quick="brackets minus if blocks dots name digits huge ten-megabytes unit-power-of-power",
    ),
)
def test_depth_and_length_are_bounded(tmp_path, snnc, text, code):
    (tmp_path / "m.snn").write_text(HEAD + text + "\n")

    result = snnc("check", "m.snn", memory=512 << 20, seconds=20)

    assert result.returncode == 1
    assert f"error[{code}]" in result.stderr, result.stderr


def test_ten_thousand_marks_of_comment_are_a_comment(tmp_path, snnc):
    (tmp_path / "m.snn").write_text(HEAD + "#" * DEEP + "\n" + "# #" * DEEP + "\n")

    assert snnc("check", "m.snn").returncode == 0


@pytest.mark.parametrize(
    "value",
    ["9^9^9^9", "1 / 0"]
    + [
        pytest.param(v, marks=pytest.mark.long)
        for v in ("10^400", "-(9^9^9^9)", "1e308 * 1e308", "(-1)^0.5", "exp(1e9)", "log(0)")
    ],
)
def test_constants_without_a_value_are_findings(write_model, refused, value):
    write_model(tau=("tau = 10 ms", f"tau = ({value}) * 1 ms"))

    refused("E0507", "check", "model.snn")


def test_a_setting_of_the_command_line_is_bounded_too(write_model, refused):
    write_model()

    refused("E0107", "compile", "model.snn", "--set", "Blobs.h.tau=" + "(" * 500 + "1 ms" + ")" * 500)
    refused("E0107", "compile", "model.snn", "--set", "Blobs.h.tau=1e999 ms")
