"""Where the time of scoring a COCO run goes (`python -m eval coco bench`)."""

import time
from collections.abc import Mapping

import numpy as np

from eval.coco.drawn import drawn_detections
from eval.detector.annotations import Annotations
from eval.metrics.coco import Backend, Kind, evaluate
from eval.metrics.resample import ap_resampler
from results.bootstrap import percentile_interval

SCORED_IMAGES = 5000  # of val2017


def bench_scoring(truth: Annotations, kinds: tuple[Kind, ...]) -> None:
    """Print how long either backend takes on as many images as val2017 has, and the interval."""
    truth, detections = drawn_detections(truth, SCORED_IMAGES)
    totals: dict[Backend, float] = {"faster": 0.0, "pycocotools": 0.0}
    for backend in totals:  # their imports are not what is measured
        evaluate(truth, detections[:1], kinds[0], backend)
    print(f"scoring {len(truth.images)} images, {truth.count()} objects, {len(detections)} detections:")
    for kind in kinds:
        seconds: dict[Backend, float] = {}
        for backend in totals:
            start = time.perf_counter()
            evaluation = evaluate(truth, detections, kind, backend)
            seconds[backend] = time.perf_counter() - start
            totals[backend] += seconds[backend]
        start = time.perf_counter()
        count, statistic = ap_resampler(truth, detections, evaluation)
        percentile_interval(np.arange(count), statistic, unit="images")
        print(f"  {kind:4} {_compared(seconds)}; interval {time.perf_counter() - start:.2f} s")
    print(f"  all  {_compared(totals)}")


def _compared(seconds: Mapping[Backend, float]) -> str:
    fast, plain = seconds["faster"], seconds["pycocotools"]
    return f"faster {fast:.2f} s, pycocotools {plain:.2f} s ({plain / fast:.1f} times)"
