"""The package as others get it: built, installed, found by napari, and quick to import."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from build import ProjectBuilder
from packaging.requirements import Requirement

import napari_unet

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_unet"
NAME = "napari-unet-segmentation"
BINDINGS = {"PyQt5", "PyQt6", "PySide2", "PySide6"}
WINDOWS = {"napari", "qtpy", "magicgui", "superqt", *BINDINGS}


def build(source: Path, kind: str, folder: Path) -> Path:
    """Build with the hatchling of this environment, so without a network."""
    return Path(ProjectBuilder(source).build(kind, folder))


def unpack(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editable")
    return unpack(build(ROOT, "editable", folder), folder / "site")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return unpack(build(ROOT, "wheel", folder), folder / "site")


@pytest.fixture(scope="module")
def wheel_of_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(ROOT, "sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return unpack(build(source, "wheel", folder), folder / "site")


@pytest.fixture
def metadata(wheel: Path) -> Distribution:
    (folder,) = wheel.glob("*.dist-info")
    return Distribution.at(folder)


def files(package: Path) -> set[str]:
    """Files of a package folder, by their path in it."""
    found = (path for path in package.rglob("*") if path.is_file())
    return {str(p.relative_to(package)) for p in found if "__pycache__" not in p.parts}


def run_python(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter, and return the last line that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after running code in a fresh interpreter."""
    report = "import sys; print(); print(*(name for name in sys.modules if '.' not in name))"
    return set(run_python(f"{code}\n{report}").split())


FIND_MANIFEST = f"""
import json, site, sys
from npe2 import PluginManager, PluginManifest

site.addsitedir(sys.argv[1])  # editable installs are found through a .pth file
results = PluginManifest.discover(paths=sys.argv[1:])
places = [str(r.distribution.locate_file("")) for r in results if r.manifest.name == {NAME!r}]
manager = PluginManager()
manager.discover(paths=sys.argv[1:])
print(json.dumps([places, manager.get_manifest({NAME!r}).display_name]))
"""


@pytest.mark.parametrize("artifact", ["editable", "wheel", "wheel_of_sdist"])
def test_napari_finds_the_manifest(artifact: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(artifact)
    places, display_name = json.loads(run_python(FIND_MANIFEST, str(folder)))
    assert str(folder) in places
    assert display_name == "U-Net Segmentation"


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    top = ROOT / "napari.yaml"
    linked = top.resolve() if top.is_symlink() else ROOT / top.read_text().strip()
    assert linked == PACKAGE / "napari.yaml"


@pytest.mark.parametrize("artifact", ["wheel", "wheel_of_sdist"])
def test_wheels_hold_the_whole_package_and_nothing_else(
    artifact: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(artifact)
    held = files(folder / "napari_unet")
    assert held == files(PACKAGE)
    assert {"napari.yaml", "py.typed"} <= held
    others = {path.suffix for path in folder.iterdir() if path.name != "napari_unet"}
    assert others == {".dist-info"}


def test_distribution_has_its_own_name_and_the_version_of_the_package(
    metadata: Distribution,
) -> None:
    assert (metadata.name, metadata.version) == (NAME, napari_unet.__version__)


def test_changelog_tells_of_this_version() -> None:
    assert f"## {napari_unet.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_no_qt_binding_is_required(metadata: Distribution) -> None:
    requirements = [Requirement(text) for text in metadata.requires or ()]
    required = {r.name: r.extras for r in requirements if "extra" not in str(r.marker)}
    assert required["napari"] == set()
    assert not BINDINGS & required.keys()


def test_importing_the_package_loads_neither_torch_nor_windows() -> None:
    assert not loaded_by("import napari_unet") & {"torch", "numpy", *WINDOWS}


def test_help_loads_neither_torch_nor_windows() -> None:
    code = """
from napari_unet.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""
    assert not loaded_by(code) & {"torch", *WINDOWS}


def test_scanning_the_manifests_loads_no_torch() -> None:
    code = "from npe2 import PluginManager; PluginManager.instance().discover()"
    assert not loaded_by(code) & {"torch", *BINDINGS}
