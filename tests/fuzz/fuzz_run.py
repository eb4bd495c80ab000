"""The long run: `python tests/fuzz/fuzz_run.py --texts 100000 --seed 0` examines as many texts on two processes.

Prints a summary; each failure is made small and kept in a folder, one file beside its traceback. Exit code 1 if there is
one. A text is made from the seed and its number alone, so `--only NUMBER` repeats one of a run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from fuzz_properties import TookTooLong, examine
from fuzz_texts import PIECE, make_text

BATCH = 100
_ABOUT_THE_TEXT = re.compile(r"`[^`]*`|U\+\w+|\d+")  # differs between texts that fail for one cause
MAX_TRIALS = 600  # examinations spent on making one failure small


def attempt(text: str) -> tuple[str, str]:
    """Return how far `text` came and "", or "failed" and the last line and place of the exception."""
    try:
        return examine(text), ""
    except (Exception, TookTooLong) as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = next((f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames) if "snnc" in f.filename), "")
        return "failed", f"{type(error).__name__} {place} {_ABOUT_THE_TEXT.sub('…', str(error))[:100]}"


def minimise(text: str, cause: str, fails: Callable[[str], str]) -> str:
    """Return a small part of `text` that fails for the same cause: lines are left out first, then tokens."""
    trials = 0
    for pieces in (text.splitlines(keepends=True), None):
        pieces = PIECE.findall(text) if pieces is None else pieces
        size = max(1, len(pieces) // 2)
        while size:
            start = 0
            while start < len(pieces) and trials < MAX_TRIALS:
                shorter = pieces[:start] + pieces[start + size :]
                trials += 1
                if fails("".join(shorter)) == cause:
                    pieces = shorter
                else:
                    start += size
            size //= 2
        text = "".join(pieces)
    return text


def run_batch(task: tuple[int, int, int]) -> tuple[Counter[str], list[tuple[int, str, str]], float]:
    """Examine the texts of a range; return counts by kind and outcome, the failures, the longest time of a text."""
    seed, first, last = task
    warnings.simplefilter("error")
    counts: Counter[str] = Counter()
    failures = []
    slowest = 0.0
    for index in range(first, last):
        kind, text = make_text(seed, index)
        began = time.process_time()
        outcome, cause = attempt(text)
        slowest = max(slowest, time.process_time() - began)
        counts[f"{kind} {outcome}"] += 1
        if cause:
            failures.append((index, cause, text))
    return counts, failures, slowest


def main() -> None:
    """Run, print what was found, keep what failed."""
    parser = argparse.ArgumentParser(description="Examine generated and mutated texts.")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for what failed")
    parser.add_argument("--only", type=int, help="examine the text of this number, and print it")
    options = parser.parse_args()
    if options.only is not None:
        kind, text = make_text(options.seed, options.only)
        print(f"# {kind}\n{text}")
        print("#", examine(text))
        return

    began = time.perf_counter()
    tasks = [(options.seed, k, min(k + BATCH, options.texts)) for k in range(0, options.texts, BATCH)]
    counts: Counter[str] = Counter()
    failures: dict[str, tuple[int, str]] = {}
    slowest = 0.0
    spawn = multiprocessing.get_context("spawn")  # a test may call this where JAX has threads, which a fork loses
    with ProcessPoolExecutor(options.processes, mp_context=spawn) as pool:
        for number, (batch, failed, longest) in enumerate(pool.map(run_batch, tasks), 1):
            counts += batch
            slowest = max(slowest, longest)
            for index, cause, text in failed:
                if cause not in failures:
                    failures[cause] = (index, text)
                    print(f"text {index}: {cause}", flush=True)
            if number % 50 == 0:
                print(f"{number * BATCH} texts, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - began

    for name, count in sorted(counts.items()):
        print(f"{name:24} {count:7}")
    print(f"{options.texts} texts in {seconds:.0f} s, {options.texts / seconds:.0f} a second, slowest {slowest:.2f} s")
    print(f"{sum(count for name, count in counts.items() if name.endswith('failed'))} failed, {len(failures)} causes")
    for number, (cause, (index, text)) in enumerate(failures.items()):
        options.keep.mkdir(parents=True, exist_ok=True)
        small = minimise(text, cause, lambda part: attempt(part)[1])
        (options.keep / f"{number}.snn").write_bytes(small.encode("utf-8", "surrogatepass"))
        (options.keep / f"{number}.txt").write_text(f"seed {options.seed}, text {index}\n{cause}\n", encoding="utf-8")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
