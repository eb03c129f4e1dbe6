"""Tells the docks when models in a folder change, whoever changes them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from napari_unet.files import Stamp, stamp
from napari_unet.library import own_models, user_folder

SETTLED_MS = 200
"""Without another change: a training writes several files at once."""


class Shelf(QObject):
    """Watches a folder of models, also one that is not there yet.

    Each dock that lists models has one of its own. Changes made by other docks, by the command line
    or by hand are all told alike.

    Parameters
    ----------
    parent : QObject
        Whoever owns it.
    folder : Path, optional
        Another folder of models; None: that of the user's.
    """

    changed = Signal(object)
    """A dict of the models that were renamed, their new names by their old ones."""

    def __init__(self, parent: QObject, folder: Path | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._seen = _identities(folder)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._settle.timeout.connect(self.look)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(self._on_changed)
        self._watch()

    def look(self) -> None:
        """Look for changes now; napari cannot be told of those on some network drives."""
        self._watch()
        before, now = self._seen, _identities(self._folder)
        if now == before:
            return
        self._seen = now
        gone = {before[name]: name for name in before.keys() - now.keys()}
        came = ((name, now[name]) for name in now.keys() - before.keys())
        self.changed.emit({gone[file]: name for name, file in came if file in gone})

    def turn_to(self, folder: Path | None) -> None:
        """Watch another folder from now on."""
        self._folder = folder
        self._seen = _identities(folder)
        self._watch()

    def _on_changed(self, _: str) -> None:
        self._settle.start()

    def _watch(self) -> None:
        """Watch the folder, or until it is made the nearest one around it."""
        folder = self._folder or user_folder()
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        watched = self._watcher.directories()
        if watched != [str(folder)]:
            if watched:
                self._watcher.removePaths(watched)
            self._watcher.addPath(str(folder))


def _identities(folder: Path | None) -> dict[str, Stamp]:
    """Return what tells a model's file from any other, by the model's name."""
    stamps = {name: stamp(path) for name, path in own_models(folder).items()}
    return {name: found for name, found in stamps.items() if found is not None}
