"""Every command: its help, its examples and its own options; make targets have the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flows.command import Subcommand, option, out
from flows.rate.options import add_audit_options, add_rate_options
from stages import MODULES

_MODULES = option("modules", nargs="+", choices=MODULES, metavar="STAGE", help=", ".join(MODULES))
_VERBOSE = option("--verbose", action="store_true", help="print all tables at the end")
_AGAIN = (
    option(
        "--retry", default="", choices=["", "transient"], help="request URLs again that failed for a transient reason"
    ),
    option("--refetch", default="", help="request URLs again that were refused for these reasons (a,b), or all"),
)
_SAMPLE = option("sample_id", metavar="SAMPLE_ID", help="a sample's name, such as laion2b_0_13")

SUBCOMMANDS: Mapping[str, Subcommand] = {
    "demo": Subcommand(
        "build the demo profile on the generated world",
        ("demo", "demo --build /tmp/demo --verbose"),
        (_VERBOSE, *_AGAIN),
    ),
    "build": Subcommand(
        "bring all stages up to date and publish the dataset",
        (
            "build --profile paper --sources SOURCES --build BUILD",
            "build --profile from-metafile --metafile pub11_train_metadata.csv --build BUILD",
            "build --profile from-release --sources /data/RS5M --build BUILD",
        ),
        (_VERBOSE, *_AGAIN),
    ),
    "preflight": Subcommand(
        "print everything that is missing and the cost of the build, before anything runs",
        ("preflight --profile paper --sources SOURCES",),
    ),
    "weights": Subcommand(
        "fetch the weights of the profile's models and compare their digests", ("weights --profile paper",)
    ),
    "stage": Subcommand(
        "bring one stage up to date, or several, and print their tables",
        (
            "stage filter --profile paper --sources SOURCES --build BUILD",
            "stage dedup --profile demo --set dedup.max_distance=6",
            "stage download --build BUILD --retry transient",
            "stage contamination --build BUILD --eval Evaluation",
        ),
        (_MODULES, _VERBOSE, *_AGAIN),
    ),
    "inventory": Subcommand(
        "print how much of each corpus is under SOURCES, its rights, and how to get the rest",
        ("inventory --profile paper --sources SOURCES",),
        (_VERBOSE,),
    ),
    "peek": Subcommand(
        "print the first rows of a source file as its reader sees them",
        ("peek cc3m Downloads/GCC-training.tsv --rows 3 --from 1000",),
        (
            option("corpus", help="code of the corpus, whose manifest says how the file is read"),
            option(
                "path",
                type=Path,
                help="a file of the corpus, of any name; for a labelled corpus a folder laid out as SOURCES/<code>",
            ),
            option("--rows", type=int, default=5, metavar="N", help="rows to print (5)"),
            option("--from", type=int, default=0, dest="from_row", metavar="ROW", help="first row, from 0"),
            option(
                "--companion",
                type=Path,
                action="append",
                default=[],
                metavar="PATH",
                help="a file that its reader needs beside it, such as YFCC's list; may be repeated",
            ),
        ),
    ),
    "new-corpus": Subcommand(
        "draft the manifest of a corpus from one of its files",
        ("new-corpus mycorpus Downloads/part-00000.parquet",),
        (
            option("code", help="lower-case letters and digits: names its folder under SOURCES and its samples"),
            option("file", type=Path, help="one of its files: parquet, or lines of caption, tab, URL"),
        ),
    ),
    "tables": Subcommand("print all tables of a build", ("tables --build build/demo",)),
    "status": Subcommand(
        "print partitions done, stale, missing and failed, rows and disk", ("status --build build/demo",)
    ),
    "explain": Subcommand(
        "print what became of one sample, stage by stage", ("explain laion2b_0_13 --build build/demo",), (_SAMPLE,)
    ),
    "show": Subcommand(
        "write the image of one sample to a file",
        ("show laion2b_0_13 --build build/demo --out picture.jpg",),
        (
            _SAMPLE,
            option(
                "--out", type=Path, help="the file to write (SAMPLE_ID with the ending of its format, such as .jpg)"
            ),
        ),
    ),
    "report": Subcommand(
        "write two pages of a build, finished or not: figures and pictures, and adjustable thresholds for outliers",
        ("report --build build/demo --out report.html",),
        (
            option(
                "--out",
                type=Path,
                help="the HTML file to write (report.html in the build folder); outliers.html beside it",
            ),
        ),
    ),
    "fates": Subcommand(
        "write one row per sample: which stage decided, and why",
        ("fates --build build/demo --out fates.csv",),
        (out("fates.csv", "the CSV to write"),),
    ),
    "compare": Subcommand(
        "compare a build with a list of RS5M (rows kept, lost and why), or image by image with a release",
        (
            "compare --metafile pub11_train_metadata.csv --build BUILD --out compare.csv",
            "compare --release /data/RS5M --build BUILD",
        ),
        (
            option("--release", type=Path, help="instead of a list: released tars, another build, or release metadata"),
            out("compare.csv", "the CSV to write"),
        ),
    ),
    "release-metadata": Subcommand(
        "write URLs, texts, digests, scores and splits of a build's samples to one file, to share without images",
        ("release-metadata --build BUILD --out release-metadata.parquet",),
        (out("release-metadata.parquet", "the file"),),
    ),
    "rebuild": Subcommand(
        "make a published dataset again from its release metadata, and count lost and changed samples",
        ("rebuild release-metadata.parquet --build BUILD --set download.contact=you@example.org",),
        (
            option("from_file", type=Path, metavar="FILE", help="a file that release-metadata wrote"),
            out("rebuild.csv", "the CSV to write, one row per stated sample"),
            _VERBOSE,
            *_AGAIN,
        ),
    ),
    "eval-hashes": Subcommand(
        "write the hashes of a build's evaluation sets to one file, to share without their images",
        ("eval-hashes --build BUILD --out evaluation-hashes.parquet",),
        (out("evaluation-hashes.parquet", "the file"),),
    ),
    "verify": Subcommand(
        "check the whole build from its files",
        ("verify --build build/demo", "verify --build BUILD --repair", "verify --build BUILD --resume"),
        (
            option("--repair", action="store_true", help="set damaged files aside; the next run does them again"),
            option("--quick", action="store_true", help="check sizes, receipts and schemas only"),
            option(
                "--resume", action="store_true", help="skip what an earlier check found sound and nothing has changed"
            ),
        ),
    ),
    "card": Subcommand(
        "write the dataset's card, build.json, Croissant, citation and licences again",
        ("card --build build/demo", "card --build BUILD --set dataset.doi=10.5281/zenodo.1"),
    ),
    "export": Subcommand(
        "write the samples of a finished build as plain folders, or as parquet with embedded images",
        ("export --build BUILD --format folders --out images", "export --build BUILD --format parquet --out hub"),
        (
            option("--format", default="folders", choices=["folders", "parquet"], help="the format (folders)"),
            out("export", "the folder to write; it must not exist"),
        ),
    ),
    "gc": Subcommand(
        "remove files that no current receipt names",
        ("gc --build BUILD --dry-run", "gc --build BUILD --purge"),
        (
            option("--dry-run", action="store_true", help="print what would be removed, and remove nothing"),
            option(
                "--purge", action="store_true", help="destroy the fetched bytes of withdrawn and hash-listed images"
            ),
        ),
    ),
    "withdraw": Subcommand(
        "take samples, URLs, hosts or images out of a build and all its later runs",
        ("withdraw list.txt --build BUILD",),
        (option("list", type=Path, help="samples, URLs, hosts, sha256 or perceptual hashes, one per line"),),
    ),
    "rate": Subcommand(
        "serve a local page to rate captions, and print means and agreement",
        ("rate --build BUILD --n 200 --rater Ann", "rate --build BUILD --half pub11", "rate --build BUILD --results"),
        (add_rate_options,),
    ),
    "audit": Subcommand(
        "serve a local page to judge the decisions of a stage, and print precision and recall",
        ("audit outliers --build BUILD --n 200 --rater Ann", "audit dedup --build BUILD --results"),
        (add_audit_options,),
    ),
    "config": Subcommand(
        "print all settings of a profile with their meanings",
        ("config --profile paper --set download.max_per_host=2",),
    ),
    "train-detector": Subcommand(
        "train detectors of remote sensing images on your own images, and measure them",
        (
            "train-detector Images",
            "train-detector labels.csv --model lite0 --out models",
            "train-detector Images --model yolo --start models/rs-detector --out models/second",
        ),
        (
            option(
                "data", type=Path, help="a folder with rs/ and other/, or with labels.csv; or a TOML file of folders"
            ),
            option("--model", default="", choices=["", "lite0", "yolo"], help="train only this one (default: both)"),
            out("models", "folder for rs-lite0 and rs-detector"),
            option("--start", type=Path, help="folder of a YOLO detector whose weights training starts from"),
            # 24 on 1,358 real images give an area under the curve of .989 on 341 others, in 107 CPU s a training run.
            option("--epochs", type=int, default=24, help="passes of the YOLO classifier over the images (24)"),
            option("--n-threads", type=int, default=2, help="CPU threads (2)"),
        ),
    ),
    "calibrate": Subcommand(
        "set the thresholds for outliers by labelled images, and write them as a profile",
        (
            "calibrate labels.csv --build BUILD",
            "calibrate Images --profile light --precision 0.99 --out mine.toml",
        ),
        (
            option("labels", type=Path, help="a folder with rs/ and other/, or a table of names and labels"),
            option(
                "--precision", type=float, default=0.97, help="share of remote sensing among the kept images (0.97)"
            ),
            out("calibrated.toml", "the profile to write"),
        ),
    ),
}
