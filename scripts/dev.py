"""Prepare an environment for this clone and run the demo or the tests in it.

    python3 scripts/dev.py demo [options of "napari-unet demo"]
    python3 scripts/dev.py test [--quick] [options of pytest]

Needs Python 3.11 or newer and nothing else. Everything is installed into the active virtual
environment, or else into ``.venv`` in the clone; a torch that is already there is kept. The second
run skips the installation, until pyproject.toml changes.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
TORCH = "torch==2.13.0"
LIBRARIES = {
    "libegl1": "libEGL.so.1",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libdbus-1-3": "libdbus-1.so.3",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libfontconfig1": "libfontconfig.so.1",
}
"""What a Qt window with OpenGL loads on Linux, by Debian's package (Mesa comes with libegl1)."""
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
VIRTUAL_DISPLAY = {"xvfb": "Xvfb", "xauth": "xauth"}
SMOKE = {
    # PySide6 6.12 loses references on Python 3.11, which ends in a crash.
    "pyside6": ["napari[pyside6]", "PySide6<6.12; python_version < '3.12'", "openvino>=2025.0"],
    "napari-0.7": ["napari==0.7.*"],
}
"""Environments beside the main one, and what differs in them."""
IN_PARALLEL = ["-n", "auto", "--dist", "loadfile"]
"""A process for each core; each file of tests is one process's."""
SMOKE_TESTS = [
    *(f"tests/_qt/test_{name}.py" for name in ("smoke", "worker", "click_path", "loop")),
    "tests/test_engines_openvino.py",
]


def main() -> int:
    """Run what the command line asks for, and return the exit status."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"napari-unet needs Python 3.11 or newer, and {sys.executable} is Python"
            f" {sys.version.split()[0]}: start this script with a newer one."
        )
    if (sys.platform, platform.machine()) == ("darwin", "x86_64"):
        sys.exit(
            "napari-unet needs torch 2.4 or newer, which PyTorch builds for Macs with Apple silicon"
            " only (an Intel Python under Rosetta counts as Intel): start this script with a native"
            " one."
        )
    # Nothing is compiled when it is installed: each process would compile all of torch anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    args, rest = parse_arguments()
    command = demo if args.command == "demo" else test
    return command(args, rest)


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return this script's options, and those it hands on."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=["demo", "test"])
    parser.add_argument("--quick", action="store_true", help="test the main environment only")
    parser.add_argument(
        "--venv", type=Path, metavar="DIR", help="virtual environment to use, made when missing"
    )
    parser.add_argument(
        "--torch",
        default=os.environ.get("NAPARI_UNET_TORCH", TORCH),
        metavar="SPEC",
        help="what pip installs where torch is missing (NAPARI_UNET_TORCH, or %(default)s)",
    )
    return parser.parse_known_args()


def demo(args: argparse.Namespace, rest: list[str]) -> int:
    """Run ``napari-unet demo``."""
    python = main_python(args.venv)
    install(python, ["-e", f"{ROOT}[all]"], args.torch, "demo")
    missing = missing_packages(LIBRARIES)
    if missing and os.environ.get("DISPLAY"):
        say(f"Qt may not open its window before these are installed: {' '.join(missing)}")
    return subprocess.run([python, "-m", "napari_unet", "demo", *rest]).returncode


def test(args: argparse.Namespace, rest: list[str]) -> int:
    """Run every check, then smoke tests in the other environments; say at the end what failed."""
    require_display()
    python = main_python(args.venv)
    install(python, ["-e", f"{ROOT}[all]", *development_requirements()], args.torch, "test")
    failed = [name for name, command in checks(python, rest).items() if not passes(name, command)]
    for name in [] if args.quick else SMOKE:
        failed += smoke(name, python, args.torch)
    say(f"FAILED: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def checks(python: Path, pytest_options: list[str]) -> dict[str, list[str]]:
    """Return the commands of the main environment by name, in the order in which they run."""
    module = [str(python), "-m"]
    return {
        "ruff check": [*module, "ruff", "check", "."],
        "ruff format": [*module, "ruff", "format", "--check", "."],
        "mypy": [*module, "mypy"],
        "import-linter": [str(python), "-c", LINT_IMPORTS, "--no-logo"],
        "npe2 validate": [*module, "npe2", "validate", "--imports", "napari-unet-segmentation"],
        "pytest": [*module, "pytest", *IN_PARALLEL, *pytest_options],
    }


def smoke(name: str, main_python: Path, torch: str) -> list[str]:
    """Try the plugin and the demo in an environment that differs; return the names of failures."""
    python = make_venv(ROOT / f".venv-{name}", main_python)
    stack(python, main_python)
    install(python, SMOKE[name], torch, "smoke")
    binding = "pyside6" if name == "pyside6" else "pyqt6"
    tests = [str(python), "-m", "pytest", *IN_PARALLEL, *SMOKE_TESTS]
    run_demo = [str(python), "-m", "napari_unet", "demo", "--headless"]
    with tempfile.TemporaryDirectory() as folder:
        results = {
            f"smoke tests ({name})": passes(f"smoke tests ({name})", tests, binding),
            f"demo ({name})": passes(f"demo ({name})", run_demo, binding, Path(folder)),
        }
    return [title for title, passed in results.items() if not passed]


def passes(name: str, command: list[str], binding: str = "pyqt6", folder: Path = ROOT) -> bool:
    """Run a command under its title and a Qt binding, and tell whether it succeeded."""
    say(f"\n=== {name}")
    environment = {**os.environ, "QT_API": binding, "PYTEST_QT_API": binding}
    return subprocess.run(command, cwd=folder, env=environment).returncode == 0


def development_requirements() -> list[str]:
    """Return the dependency group "dev" (the pip of a new environment may not know groups)."""
    import tomllib  # not there before Python 3.11, which main() reports

    with (ROOT / "pyproject.toml").open("rb") as file:
        group: list[str] = tomllib.load(file)["dependency-groups"]["dev"]
    return group


def main_python(folder: Path | None) -> Path:
    """Return the Python of the environment named, or else active, or else of ``.venv``."""
    if folder is None and sys.prefix != sys.base_prefix:
        return Path(sys.executable)
    return make_venv((folder or ROOT / ".venv").absolute(), Path(sys.executable))


def make_venv(folder: Path, base: Path) -> Path:
    """Return the Python of a virtual environment, made by `base` when it is not there."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        require_ensurepip()
        say(f"Making the environment {folder}")
        run([base, "-m", "venv", folder], f"{folder} could not be made: see the message above.")
    return python


def stack(upper: Path, lower: Path) -> None:
    """Let `upper` see the packages of `lower` beneath its own, so that torch is there only once."""
    below = "import json, sys; print(json.dumps([p for p in sys.path if p.endswith('-packages')]))"
    own = "import sysconfig; print(sysconfig.get_path('purelib'))"
    lines = [f"import site; site.addsitedir({p!r})\n" for p in json.loads(output(lower, below))]
    Path(output(upper, own), "lower_environment.pth").write_text("".join(lines), "utf-8")


def install(python: Path, requirements: list[str], torch: str, purpose: str) -> None:
    """Install what is missing, unless that was done for this state of the project."""
    stamp = python.parent / f".napari-unet-{purpose}"
    state = "\n".join([str(ROOT), *requirements, (ROOT / "pyproject.toml").read_text("utf-8")])
    digest = hashlib.sha256(state.encode()).hexdigest()
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return
    say(f"Installing into {python.parent.parent}: up to a few GB and minutes the first time")
    if not torch_version(python):
        pip_install(python, shlex.split(torch))
    pip_install(python, [f"torch=={torch_version(python)}", *requirements])
    stamp.write_text(digest, "utf-8")


def torch_version(python: Path) -> str:
    """Return the version of torch in an environment, empty if it has none."""
    code = "print(next((d.version for d in m.distributions(name='torch')), ''))"
    return output(python, f"import importlib.metadata as m; {code}")


def pip_install(python: Path, requirements: list[str]) -> None:
    """Run ``pip install``, or stop with what to do."""
    # Python compiles what it imports; to compile all of torch now takes most of the installation.
    options = ["-q", "--disable-pip-version-check", "--no-compile"]
    run(
        [python, "-m", "pip", "install", *options, *requirements],
        f"pip could not install {' '.join(requirements)}: its message is above. Check the network"
        f" and start again; if {python.parent.parent} is damaged, delete it first.",
    )


def require_display() -> None:
    """See to it that Qt finds its libraries and a display: by apt-get as root, or else stop."""
    packages = LIBRARIES if os.environ.get("DISPLAY") else {**VIRTUAL_DISPLAY, **LIBRARIES}
    missing = missing_packages(packages)
    if missing:
        apt_install(missing, "The tests open Qt windows, for which libraries are missing")


def require_ensurepip() -> None:
    """See to it that virtual environments can be made, which Debian has in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python3.{sys.version_info.minor}-venv"
        apt_install([package], f"{sys.executable} cannot make virtual environments")


def missing_packages(packages: dict[str, str]) -> list[str]:
    """Return those of Debian's packages whose library or program is not there (Linux only)."""
    return [p for p, name in packages.items() if sys.platform == "linux" and not is_there(name)]


def is_there(name: str) -> bool:
    """Tell whether a program, or a shared library (by its file name), can be loaded."""
    if ".so" not in name:
        return shutil.which(name) is not None
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def apt_install(packages: list[str], reason: str) -> None:
    """Install Debian packages as root, or else stop and name them."""
    names = " ".join(packages)
    if not (sys.platform == "linux" and shutil.which("apt-get") and os.geteuid() == 0):
        sys.exit(f"{reason}: install {names} (Debian's and Ubuntu's names; apt-get, as root).")
    say(f"Installing {names}")
    failure = f"apt-get could not install {names}: its message is above."
    os.environ.setdefault("DEBIAN_FRONTEND", "noninteractive")
    run(["apt-get", "update", "-q"], failure)
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], failure)


def run(command: list[str | Path], failure: str) -> None:
    """Run a command, or stop with a sentence when it fails."""
    if subprocess.run(command).returncode:
        sys.exit(failure)


def output(python: Path, code: str) -> str:
    """Return what a line of Python prints in an environment."""
    command = [str(python), "-c", code]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def say(text: str) -> None:
    """Print at once, before what the next command prints."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped.")
