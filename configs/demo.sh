#!/usr/bin/env bash
# The whole chain on drawn data: `bash configs/demo.sh runs/demo` (what `make demo` runs); `... full` for `make demo-full`.
# Each line is a command of this project; finished parts are skipped when it is run again.
set -euo pipefail
demo=${1:-runs/demo}
data=$demo/data
encoder=$demo/pretrain/encoder.safetensors
flsl=$demo/pretrain-flsl/encoder.safetensors
step() { printf '\n[%d s] $ python -m %s\n' $((SECONDS - begin)) "$*"; python -m "$@"; }
begin=$SECONDS

printf 'Part 1: pretrain a small encoder, and ask whether it is better than none.\n'
step eval data synthesize images "$data/images" --count 480
step pretrain configs/pretrain/dense_demo.py --data "$data/images" --out "$demo/pretrain"
step flsl quick "$encoder" --out "$demo/quick"
if [ "${2:-}" = full ]; then
  step pretrain configs/pretrain/flsl_demo.py --data "$data/images" --out "$demo/pretrain-flsl"
  step flsl quick "$flsl" --out "$demo/quick-flsl"
fi

printf '\nPart 2: detectors on it. They show that they run: so short a training ranks nothing.\n'
step eval data synthesize coco "$data/coco"
step eval data synthesize uavdt "$data/uavdt" --car 28 --plain --train-sequences 20 --sequences 4 --frames 6
models=("$encoder") seeds=(0)
if [ "${2:-}" = full ]; then models+=("$flsl" random:vit_nano/16) seeds=(0 1 2); fi
for model in "${models[@]}"; do
  case $model in random:*) name=random ;; "$flsl") name=flsl ;; *) name=trained ;; esac
  for seed in "${seeds[@]}"; do
    step eval coco --checkpoint "$model" --data "$data/coco" --out "$demo/$name/coco-$seed" --seed "$seed" --config configs/coco/mask-rcnn_smoke.py
    step eval uavdt --checkpoint "$model" --data "$data/uavdt" --out "$demo/$name/uavdt-$seed" --seed "$seed" --config configs/uavdt/faster-rcnn_smoke.py
  done
done

step results leaderboard --records "$demo" --out results/leaderboard.csv
printf '\nPictures:\n'
find "$demo" -path "$data" -prune -o \( -name 'overlay*' -o -name 'sheet.png' -o -name '*.webp' \) -print | sort | sed 's/^/  /'
printf 'Is it better than none, with pictures: %s (open it in a browser)\n' "$demo/quick/report.html"
printf 'Leaderboard: results/leaderboard.csv, results/leaderboard.html\n'
printf 'Done in %d s.\n' $((SECONDS - begin))
