"""What the objects of label images measure: a table with a row per object.

Each plane of a stack is measured by itself. Label images hold 0 for background and objects from 1,
in any order and with any gaps; what is below 0 is not annotated, and no object.

In the table, names end in the unit: `_px` pixels, `_um` and `_um2` micrometres, which are there
where the pixel size is known. Positions are those of pixel centres, counted from 0 as napari and
numpy count them. A pixel is a square (a rectangle, where its height and width differ), and an
object the union of its pixels: that is what areas, axes and hulls are of.
"""

from napari_unet.measurements.planes import NOTHING, Known, Table
from napari_unet.measurements.table import find_boxes, measure, measure_steps
from napari_unet.measurements.writing import as_csv, write_table

__all__ = [
    "NOTHING",
    "Known",
    "Table",
    "as_csv",
    "find_boxes",
    "measure",
    "measure_steps",
    "write_table",
]
