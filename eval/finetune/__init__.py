"""Fine-tuning an encoder with OpenMMLab's models: what the detectors and segmentation share.

    task = FineTuning(DIR, OUT, options)                # eval.finetune.task.Task: a recipe, its data, how it is scored
    weights = train(task, checkpoint, seed=0)           # -> OUT/detector.safetensors
    predictions = predict(task)                         # saved in OUT first
    record = evaluate(FineTuning, encoder, DIR, run, options)   # both, and the score

`checkpoint` is what `flsl.checkpoint.load_encoder` takes. Progress goes to standard output, everything else to
OUT/train/train.log. `train` returns at once if the weights are there, and resumes OUT/train if it was interrupted; whose
folder it is, `eval.run.Run.claim` has decided before. Where a training stopped and how many processes load its images
change no weight. A recipe's identity is `identity_of(recipe)`.
Importing these modules takes seconds (torch, OpenMMLab): do it inside a command's `run`.
"""
