"""Which image and labels layers belong together, to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt import form
from napari_unet._qt.annotation_layers import IMAGE_ID, PREDICTED, RESULT
from napari_unet._qt.layers import MADE_HERE, axes_of
from napari_unet._qt.pairing import image_of, possible_images

NO_PAIR = (
    "There is nothing to learn from yet: label some objects of an image, with the dock Annotate or"
    " the brush of a labels layer."
)
NONE_CHECKED = "Nothing is checked to learn from: check each image whose own labels are beside it."
AS_MODEL, IN_VIEW, ALL = "As the start model", "The one in view", "All of them"
ROWS = 5
"""Of the table; the others are scrolled to."""
BOX = "border: 1px solid gray; border-radius: 2px; width: 10px; height: 10px;"
"""Of what is not checked, which the dark theme leaves invisible."""


@dataclass(frozen=True)
class LayerPair:
    """An image layer and the labels layer that annotates it.

    Parameters
    ----------
    image : Image
        What the network will see.
    labels : Labels
        What it is to say of that.
    sure : bool
        False where the labels may as well be those of another image.
    """

    image: Image
    labels: Labels
    sure: bool = True


def find_pairs(viewer: napari.viewer.ViewerModel) -> list[LayerPair]:
    """Return the image and labels layers of equal shape that belong together.

    As `image_of` knows, else in the order of the layers, which is sure only where a single image
    fits. Labels that a network has found ("NAME [model]") count where there are no others, as they
    may have been corrected. Where labels could be those of several images, each of these comes
    with them.
    """
    others = {MADE_HERE, PREDICTED}
    layers = [layer for layer in viewer.layers if not others & set(layer.metadata)]
    images = [layer for layer in layers if isinstance(layer, Image)]
    labels = [layer for layer in layers if isinstance(layer, Labels)]
    names = {image.name for image in images}
    found = [layer for layer in labels if _is_result(layer, names)]
    return _pair(images, [a for a in labels if a not in found]) or _pair(images, found)


def _is_result(labels: Labels, names: set[str]) -> bool:
    parts = RESULT.fullmatch(labels.name)
    return parts is not None and parts[1] in names


def _pair(images: Sequence[Image], labels: Sequence[Labels]) -> list[LayerPair]:
    known: dict[Image, Labels] = {}
    unknown: dict[tuple[Image, ...], list[Labels]] = {}
    for one in sorted(labels, key=lambda one: IMAGE_ID not in one.metadata):  # surer than a name
        image = image_of(one, images)
        if image is None:
            unknown.setdefault(tuple(possible_images(one, images)), []).append(one)
        else:
            known.setdefault(image, one)
    pairs = [LayerPair(image, one) for image, one in known.items()]
    for fitting, alike in unknown.items():
        free = [image for image in fitting if image not in known]
        pairs += _in_order(free, alike, sure=len(fitting) == 1)
    order = list(images)
    return sorted(pairs, key=lambda pair: (not pair.sure, order.index(pair.image)))


def _in_order(images: Sequence[Image], labels: Sequence[Labels], sure: bool) -> list[LayerPair]:
    """Pair what has one shape, first with first; images that are left over may be meant, too."""
    return [
        LayerPair(image, one or labels[-1], sure)
        for image, one in zip_longest(images, labels[: len(images)])
    ]


class Pairs(QWidget):
    """Shows the pairs that there are; of several, some can be left out.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers are paired.
    """

    changed = Signal()
    """Others are chosen than before."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pairs: list[LayerPair] = []
        self._wished: dict[tuple[Image, Labels], bool] = {}  # what was checked or unchecked by hand
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.table = QTreeWidget()
        self.table.setToolTip(
            "Images and labels of one shape. Uncheck what is not to be learnt from; labels that are"
            ' of another image than theirs here: call them "NAME annotation".'
        )
        self.table.setHeaderLabels(["Image", "Labels"])
        self.table.setRootIsDecorated(False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setUniformRowHeights(True)
        self.table.setStyleSheet(f"QTreeView::indicator:unchecked {{ {BOX} }}")
        self.table.itemChanged.connect(self._on_checked)
        self.channels = ComboBox(
            name="channels",
            label="Channels",
            tooltip="Which channels of an image the network is to see. If the start model takes"
            " another number of them, it learns anew how to take these in, and keeps the rest.",
            choices=(AS_MODEL, IN_VIEW, ALL),
        )
        self.channels.changed.connect(lambda _: self.changed.emit())
        self._channels_row = form.lay_out(self.channels)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.table)
        layout.addWidget(self._channels_row)
        self.reset_choices()

    def reset_choices(self) -> None:
        """Pair the layers that there are now."""
        before = self.chosen()
        self._pairs = find_pairs(self._viewer)
        known = {(pair.image, pair.labels) for pair in self._pairs}
        self._wished = {key: on for key, on in self._wished.items() if key in known}
        self._show()
        if self.chosen() != before:
            self.changed.emit()

    def chosen(self) -> list[LayerPair]:
        """Return the pairs to learn from."""
        return [pair for pair in self._pairs if self._is_wished(pair)]

    def _is_wished(self, pair: LayerPair) -> bool:
        if len(self._pairs) == 1:
            return True
        return self._wished.get((pair.image, pair.labels), pair.sure)

    def _show(self) -> None:
        several = len(self._pairs) > 1
        self._channels_row.setVisible(
            any(set("CS") & set(axes_of(pair.image)) for pair in self._pairs)
        )
        self.table.setVisible(several)
        if several:
            self._fill_table()
        self._tell()

    def _tell(self) -> None:
        """Say what is learnt from, where the table does not."""
        several = len(self._pairs) > 1
        self.text.setVisible(not several or not self.chosen())
        self.text.setText(NONE_CHECKED if several else NO_PAIR)
        if len(self._pairs) == 1:
            (pair,) = self._pairs
            self.text.setText(f"Learns from {pair.image.name} with {pair.labels.name}.")

    def _fill_table(self) -> None:
        self.table.blockSignals(True)
        self.table.clear()
        for pair in self._pairs:
            item = QTreeWidgetItem(self.table, [pair.image.name, pair.labels.name])
            state = Qt.CheckState.Checked if self._is_wished(pair) else Qt.CheckState.Unchecked
            item.setCheckState(0, state)
            item.setSizeHint(0, QSize(0, self._row))
            for column, layer in enumerate((pair.image, pair.labels)):
                item.setToolTip(column, layer.name)
        self.table.blockSignals(False)
        self.table.setColumnWidth(0, 140)
        header = self.table.header()
        height = self._row * min(len(self._pairs), ROWS)
        height += header.sizeHint().height() if header is not None else 0
        self.table.setFixedHeight(height + 2 * self.table.frameWidth() + 6)
        policy = Qt.ScrollBarPolicy
        scrolls = len(self._pairs) > ROWS
        self.table.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if scrolls else policy.ScrollBarAlwaysOff
        )

    @property
    def _row(self) -> int:
        return self.fontMetrics().height() + 4

    def _on_checked(self, item: QTreeWidgetItem) -> None:
        pair = self._pairs[self.table.indexOfTopLevelItem(item)]
        on = item.checkState(0) == Qt.CheckState.Checked
        self._wished[pair.image, pair.labels] = on
        self._tell()
        self.changed.emit()
