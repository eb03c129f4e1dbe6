"""Score predicted labels against the truth: average precision at several IoU thresholds."""

import numpy as np

from napari_unet.metrics import average_precision

truth = np.zeros((40, 40), np.int32)
truth[5:15, 5:15], truth[20:35, 20:35] = 1, 2
prediction = np.roll(truth, 2, axis=1)
evaluation = average_precision([(prediction, truth)], thresholds=(0.5, 0.7, 0.9))
for matching in evaluation.pooled:
    print(f"IoU {matching.threshold}: AP {matching.ap:.2f}, F1 {matching.f1:.2f}")
