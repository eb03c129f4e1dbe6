"""Write the page of the experiments: question, data, command, figures, picture, machine.

    python benchmarks/experiments_page.py --results benchmarks/results -o docs/experiments.md

That folder holds the results of the scripts beside this one, each under its script's name
(em.jsonl, classes.jsonl, ...). What has no results there is only listed. Pictures are shown where
they lie beside the page, called as the script is (em.jpg, em_curves.png).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from textwrap import fill

from _records import read_lines

WIDTH = 100
"""Letters of a line of text."""
FLAGS = {"steps": "--iterations", "minutes": "--minutes"}
"""What asks for a budget, by its unit."""
INTRODUCTION = """\
# Experiments

What the U-Net papers report, and the methods that came before and after, on data that can be had
and machines that stand under a desk. Each experiment is one script in `benchmarks/`, which appends
its results to a file and repeats nothing that is there; trainings that were broken off go on.
Networks are scored as they are after their last step: no held-out image chooses one. Where a
machine of two cores is said to have had one thread, another training had the other core, and with
both of them would have taken some 0.7 of the time; minutes are the clock's, and other work on the
machine is in them. FOLDER is where the annotated sets are, each as its script's text (`--help`)
says.

This page is written by `python benchmarks/experiments_page.py` from those files.
"""


@dataclass(frozen=True)
class Section:
    """An experiment.

    Parameters
    ----------
    script : str
        Its name, without ``.py``.
    title, question : str
        What it is about.
    data : str
        What it learns and is scored on, and how that differs from the paper's.
    pictures : dict of str to str
        File names beside the page, and what each shows.
    """

    script: str
    title: str
    question: str
    data: str
    pictures: dict[str, str]

    def lines(self, results: Path, page: Path) -> Iterator[str]:
        """Yield the section, if there are results."""
        module, path = import_module(self.script), results / f"{self.script}.jsonl"
        known = read_lines(path, module.Result)
        if not known:
            return
        yield from (f"## {self.title}", "", fill(self.question, WIDTH), "")
        yield from (fill(self.data, WIDTH), "")
        yield "```console"
        seeds = Counter(line.key[::2] for line in known)
        for budget, number in dict.fromkeys((b, count) for (_, b), count in seeds.items()):
            names = [name for name in module.VARIANTS if seeds[name, budget] == number]
            yield from self.command(names, budget, number)
        yield "```"
        yield from ("", *module.table(path), "")
        machines = dict.fromkeys(line.machine for line in known if line.machine)
        if machines:
            yield from (f"Machine: {'; or '.join(machines)}.", "")
        for name, shown in self.pictures.items():
            if (page.parent / name).exists():
                yield from (f"![{shown}]({name})", "", shown, "")

    def command(self, variants: Sequence[str], budget: str, seeds: int) -> Iterator[str]:
        """Yield the lines of what is typed for some variants of one budget."""
        models = "" if self.script == "sliding_window" else f" --models runs/{self.script}"
        number, unit = budget.split()
        yield f"python benchmarks/{self.script}.py --data FOLDER{models} \\"
        yield f"    --output benchmarks/results/{self.script}.jsonl {FLAGS[unit]} {number} \\"
        repeated = f" --seeds {seeds}" if seeds > 1 else ""
        yield f"    --only {' '.join(variants)}{repeated}"


SECTIONS = (
    Section(
        "em",
        "Membranes in electron microscopy",
        "How near does the published network come to its published errors, and what does a padded"
        " one with batch normalisation reach in about an hour on two cores?",
        "ISBI 2012: 30 serial sections of 512x512 pixels. The paper learnt all 30 and was scored on"
        " 30 others, whose labels the challenge keeps; here sections 0 to 23 are learnt and 24 to"
        " 29 scored. They continue the same tissue, which makes them easier, and there are fewer to"
        " learn from, which makes them harder: the published errors stand beside ours for"
        " orientation. The paper averages seven rotations, we the eight flips and quarter turns."
        " Errors are the least over the challenge's thresholds, taken on the scored sections"
        " themselves as the challenge does, and those at 0.5 beside them. Cells that are kept apart"
        " are those at a score of 0.5, grown downhill until they meet, where the score is set to 0."
        " Weights trained on this set are not passed on, as its terms demand.",
        {
            "em.jpg": "Held-out sections, the score of cell, the cells found and the true ones.",
            "em_curves.png": "Learning curves on the held-out sections.",
        },
    ),
    Section(
        "cell_experiments",
        "Cells in phase and interference contrast",
        "How well are cells found and outlined, and what is lost where only a fifth of them is"
        " annotated?",
        "Usiigaci (Tsai et al. 2019) in place of the paper's PhC-U373, and BBBC030 (Koos et al."
        " 2016, Chinese hamster ovary cells) in place of DIC-HeLa: other cells, other microscopes,"
        " and public test images, so that the published figures show an order of magnitude and no"
        " more. What the paper's table calls IOU is the challenge's SEG; our IoU is that of the"
        " foregrounds.",
        {"cells.jpg": "Test images, the cells found and the true ones."},
    ),
    Section(
        "classes",
        "Several classes",
        "Are areas of several classes told apart, by a softmax; whole cells in colour, by a single"
        " sigmoid; and touching objects, each with its class?",
        "Areas and sigmoid: white blood cells (Zheng et al. 2018, dataset 2), every third picture"
        " of 100 held out. Objects with classes: pictures of fruit, made by the script, 60 to learn"
        " and 12 to score; apples have the colours of strawberries and of pears.",
        {"classes.png": "Held-out pictures, what was found in them, and the truth, by classes."},
    ),
    Section(
        "unet_plus_plus",
        "U-Net++",
        "Is a U-Net++ better than a U-Net with as many parameters, and what do its levels give when"
        " it is pruned to them?",
        "The training parts of dsb2018_stardist (every tenth image held out) and Usiigaci (its last"
        " quarter held out). Zhou et al. (2018) use other sets.",
        {"unet_plus_plus.png": "What each network, and each level of a U-Net++, gives and costs."},
    ),
    Section(
        "sliding_window",
        "Before the U-Net: a sliding window",
        "How much slower is a classifier of single pixels by their windows, and how good?",
        "The sections of the first experiment. The classifier is smaller than that of Ciresan et"
        " al. (2012): one network, one size of window, minutes of training.",
        {},
    ),
    Section(
        "paper_ideas",
        "Without one idea of the paper",
        "What are elastic deformation, the weight map, skip connections and unpadded convolutions"
        " good for, and how many images does it take?",
        "30 images drawn from the training part of dsb2018_stardist, as many as the paper had, of"
        " another kind: nuclei in fluorescence. Every tenth image of that part is scored.",
        {
            "paper_ideas.png": "Average precision without each idea, and of fewer images.",
            "paper_ideas_curves.png": "Learning curves of the published recipe.",
        },
    ),
    Section(
        "ablation",
        "From the paper to what ships, one thing after another",
        "What do the weight map, batch normalisation, the outputs for distance and extent, the"
        " moving average of the weights and elastic deformation each bring to the network that"
        " ships?",
        "dsb2018_stardist: its training part, of which every tenth image is scored.",
        {},
    ),
    Section(
        "networks",
        "How wide, and how deep",
        "Which network learns most in equal minutes, and which is fast?",
        "The sets of the section before.",
        {},
    ),
    Section(
        "beside_stardist",
        "Beside StarDist, for equal minutes",
        "How good is a new U-Net after as many minutes of training as StarDist, on the same images"
        " and machine, and how fast?",
        "dsb2018_stardist: its training part, of which every tenth image is for StarDist's"
        " thresholds, and its test part, which is scored. StarDist 0.9 as its authors' examples"
        " train it, with patches of our size.",
        {},
    ),
)


def page(results: Path, output: Path) -> str:
    """Return the page's text; `output` is where it will be."""
    listed = ["| script | question |", "|---|---|"]
    listed += [f"| `benchmarks/{s.script}.py` | {s.question} |" for s in SECTIONS]
    parts = ["\n".join(section.lines(results, output)) for section in SECTIONS]
    text = [INTRODUCTION, "\n".join(listed) + "\n", *(part for part in parts if part)]
    return "\n".join(text).rstrip() + "\n"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of the .jsonl files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .md path")
    args = parser.parse_args()
    args.output.write_text(page(args.results, args.output), "utf-8")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
