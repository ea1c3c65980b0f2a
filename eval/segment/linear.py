"""The linear protocols: train a head on the training images, predict the evaluated ones."""

from collections.abc import Iterator

import numpy as np
import torch

from eval.progress import Progress
from eval.segment.linear_head import predict_sliding, predict_squashed
from eval.segment.linear_training import HEAD, STATE, HeadTraining
from eval.segment.protocols import Linear, LinearDinoV3, LinearLeopart
from eval.segment.squares import square_pictures
from eval.segment.task import Task

OUTPUTS = (HEAD, STATE)  # what a run makes besides its predictions


def predict(task: Task[Linear]) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield the index, the part ("") and the classes (H, W) uint8 of each image that is to do.

    Raises:
        UserError: images, masks or features that cannot be used, or a head that cannot be trained.
        Preempted: a signal asked to stop; what is trained so far is kept.
    """
    protocol, encoder = task.protocol, task.loaded.encoder
    head = HeadTraining(
        protocol,
        encoder,
        task.train,
        len(task.data.classes),
        task.run.out,
        task.device,
        seed=task.run.seed,
        at_once=task.store.batch_size,
        watch=task.watch,
    ).run()
    if isinstance(protocol, LinearLeopart):
        squares = task.store.tokens(square_pictures(task), first=max(task.todo) + 1)
    progress = Progress("prediction", len(task.todo))
    for done, image in enumerate(task.todo, start=1):
        if isinstance(protocol, LinearLeopart):
            tokens = torch.from_numpy(squares[image].astype(np.float32)).to(task.device)
            with task.watch.phase("prediction"):
                mask = predict_squashed(head, tokens.T.reshape(1, -1, *task.grid), protocol.mask_side)[0]
        else:
            assert isinstance(protocol, LinearDinoV3)
            with task.watch.phase("reading"):
                pixels = task.val.image(image)
            with task.watch.phase("prediction"):
                mask = predict_sliding(head, encoder, pixels, protocol, task.val.names[image])
        yield image, "", mask
        progress.update(done)
