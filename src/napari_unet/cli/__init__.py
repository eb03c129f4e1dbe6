"""The command line: ``napari-unet segment | train | models | open | ...``.

It reads arguments, hands them to the core and shows what comes back. Each command imports what it
needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from napari_unet import __version__
from napari_unet.cli import (
    convert,
    demo,
    evaluate,
    measure,
    models,
    open,
    segment,
    train,
    weightmap,
)
from napari_unet.cli.terminal import warn

DONE, SOME_FAILED, NOTHING_STARTED = 0, 1, 2
COMMANDS = (open, segment, train, weightmap, evaluate, measure, convert, models, demo)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 (all done), 1 (some input failed) or 2 (nothing was started)."""
    _speak_unicode()
    typed = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(typed)
    arguments.typed = shlex.join(["napari-unet", *typed])
    try:
        all_done: bool = arguments.run(arguments)
    except KeyboardInterrupt:
        warn("interrupted.")
        return SOME_FAILED
    except (ValueError, OSError, MemoryError, ImportError) as error:
        warn(str(error) or type(error).__name__)
        return NOTHING_STARTED
    return DONE if all_done else SOME_FAILED


def _speak_unicode() -> None:
    """Print any path even where the console's encoding has no such letters, as on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-unet",
        description="Segment microscopy images by a U-Net, and teach it on a few annotated images.",
    )
    parser.add_argument("--version", action="version", version=f"napari-unet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        text = (command.__doc__ or "").splitlines()[0]
        name = command.__name__.rsplit(".", 1)[-1]
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=command.run)
        command.add_arguments(sub)
    return parser
