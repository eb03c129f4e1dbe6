"""Run the command line by ``python -m napari_unet``."""

import sys

from napari_unet.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
