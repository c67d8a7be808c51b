"""`python -m nearmiss round` runs one training round; `python -m nearmiss deployed` serves and reports.

Exit codes: 0 done, whatever the verdict; 1 failed, may be tried again; 2 started wrongly; 3 nothing to train;
4 the lease was lost; 5 asked to stop, to be gone on with.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KEY_VARIABLE: Final = "NEARMISS_KEY"
THREADS_VARIABLE: Final = "NEARMISS_THREADS"
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NOTHING, EXIT_LEASE_LOST, EXIT_PREEMPTED = range(6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", FutureWarning)
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        return _fail(EXIT_USAGE, f"no key: set {KEY_VARIABLE}")
    command: int = options.run(options, key)
    return command


def _round(options: argparse.Namespace, key: str) -> int:
    _set_threads(options.threads)
    from .api import Api, ApiError, LeaseLost  # torch takes seconds to load: after the arguments are known to be good
    from .engine.training import Preempted
    from .progress import Bar, JsonLines
    from .recipe import BadConfiguration, parse_overrides
    from .round import NothingToTrain, Options, run_round
    from .state import State, StateError

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    progress = JsonLines() if options.json else Bar()
    try:
        chosen = Options(
            model=options.model,
            trainer=options.trainer,
            seed=options.seed,
            device=options.device,
            dtype=options.dtype,
            recipe=parse_overrides(options.recipe),
            now=options.now,
        )
        state = State(options.state)
        with state.locked(), Api(options.api, key) as api:
            progress.end(run_round(chosen, api, state, progress, stop))
        return EXIT_DONE
    except (BadConfiguration, StateError) as error:
        return _fail(EXIT_USAGE, str(error))
    except NothingToTrain as error:
        progress.end({"round": None, "reason": str(error)})
        return _fail(EXIT_NOTHING, f"nothing to train: {error}")
    except LeaseLost as error:
        return _fail(EXIT_LEASE_LOST, f"the lease was lost: {error}")
    except Preempted:
        return _fail(EXIT_PREEMPTED, "asked to stop: start again on the same state folder to go on")
    except ApiError as error:
        return _fail(EXIT_USAGE if error.status in (401, 403) else EXIT_FAILED, str(error))


def _deployed(options: argparse.Namespace, key: str) -> int:
    _set_threads(options.threads)
    from .api import Api
    from .client import Reporter
    from .deployed import Deployed
    from .miniature.model import ModelError
    from .state import State, StateError
    from .worlds import WorldError, open_world

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_DONE))
    try:
        world = open_world(options.world, options.data, options.seed)
        state = State(options.state)
        with Api(options.api, key, attempts=3) as api:
            reporter = Reporter(options.api, key, spill=state.root / "unsent")
            try:
                served = Deployed(options.model, world, options.seed, options.held_out_per_task, api, reporter, state)
                served.run(sys.stdin, sys.stdout)
            finally:
                reporter.close()
        return EXIT_DONE
    except (WorldError, ModelError, StateError) as error:
        return _fail(EXIT_USAGE, str(error))
    except KeyboardInterrupt:
        return EXIT_DONE


def _fail(code: int, message: str) -> int:
    print(f"nearmiss: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _set_threads(threads: int) -> None:
    """One thread unless told otherwise: beside other busy processes, more threads are slower, not faster."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    import torch

    torch.set_num_threads(threads)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is no http or https address")
    return text


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _threads_default() -> int:
    text = os.environ.get(THREADS_VARIABLE, "1")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nearmiss", epilog=f"The API key is read from {KEY_VARIABLE}.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("round", help="run one training round")
    one.set_defaults(run=_round)
    _common(one)
    one.add_argument("--trainer", help="name to claim under (default: one kept in the state folder)")
    one.add_argument(
        "--recipe", action="append", default=[], metavar="KEY=VALUE", help="override of the training policy"
    )
    one.add_argument(
        "--now", action="store_true", help="start with as few pairs as there are, whatever the policy says"
    )
    one.add_argument("--json", action="store_true", help="one JSON object a line on stdout; the last is the summary")
    one.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    one.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="of the model's weights")

    two = commands.add_parser("deployed", help="serve the miniature model: JSON commands on stdin, answers on stdout")
    two.set_defaults(run=_deployed)
    _common(two)
    two.add_argument("--world", required=True, choices=("scenes", "nlvr"))
    two.add_argument("--data", type=Path, metavar="DIR", help="folder of the world's images, where it needs one")
    two.add_argument("--held-out-per-task", type=_positive, default=100, metavar="N")

    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--api", type=_url, required=True, metavar="URL")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of the saved model")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder for caches and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=_positive, default=_threads_default(), help=f"or {THREADS_VARIABLE}; default 1"
    )


if __name__ == "__main__":
    sys.exit(main())
