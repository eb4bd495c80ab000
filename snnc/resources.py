"""Finds the folders `grammar`, `templates` and `models` in a wheel, in an editable install and in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Return the folder `name` (one of grammar, templates, models).

    Raises:
        FileNotFoundError: if the installation lacks it (a broken install, never an author's mistake).
    """
    for root in (_PACKAGE / "_resources", _PACKAGE.parent):
        folder = root / name
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the installation of snnc lacks its folder {name!r}")
