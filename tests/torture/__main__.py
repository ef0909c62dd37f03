"""`make torture`: faults at random moments under load, round after round, with a printed seed."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.world import World


def torture(folder: Path, *, seed: int, rounds: int, broker: str, store: str) -> bool:
    """One world, `rounds` faults; True if nothing was lost, doubled or changed."""
    chance = random.Random(seed)
    world = World(folder, broker=broker, store=store)
    try:
        world.start()
        for number in range(1, rounds + 1):
            time.sleep(chance.uniform(0.2, 3.0))
            print(f"{number:4}/{rounds}  {world.random_fault(chance)}", flush=True)
        world.settle(180)
        time.sleep(2)
        reckoning = world.reckon()
    finally:
        world.stop()
    print(f"seed {seed}, {broker}, {store}: {reckoning}", flush=True)
    return reckoning.is_clean


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--broker", choices=("mosquitto", "embedded"), default="mosquitto")
    parser.add_argument("--store", choices=("duckdb", "influxdb"), default="duckdb")
    parser.add_argument("--keep", type=Path, help="use this folder and leave it there")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    clean = torture(
        folder,
        seed=options.seed,
        rounds=options.rounds,
        broker=options.broker,
        store=options.store,
    )
    if clean and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"everything is in {folder}")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
