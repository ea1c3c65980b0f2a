#!/usr/bin/env bash
# The whole chain on drawn data: `bash configs/demo.sh runs/demo` (what `make demo` runs).
# Each line is a command of this project; finished parts are skipped when it is run again.
set -euo pipefail
demo=${1:-runs/demo}
data=$demo/data
step() { printf '\n$ python -m %s\n' "$*"; python -m "$@"; }
begin=$SECONDS

step eval data synthesize images "$data/images" --count 480
step eval data synthesize davis "$data/davis" --sequences 3 --frames 20
step eval data synthesize coco "$data/coco"
step eval data synthesize uavdt "$data/uavdt"

step pretrain configs/pretrain/flsl_demo.py --data "$data/images" --out "$demo/pretrain"

for model in "$demo/pretrain/encoder.safetensors" random:vit_micro/16; do
  case $model in random:*) name=random ;; *) name=flsl ;; esac
  step eval davis --checkpoint "$model" --data "$data/davis" --out "$demo/$name/davis"
  step eval coco --checkpoint "$model" --data "$data/coco" --out "$demo/$name/coco" --config configs/coco/mask-rcnn_smoke.py
  step eval uavdt --checkpoint "$model" --data "$data/uavdt" --out "$demo/$name/uavdt" --config configs/uavdt/faster-rcnn_smoke.py
done

step results leaderboard --records "$demo" --out results/leaderboard.csv
printf '\nPictures:\n'
find "$demo" -path "$data" -prune -o \( -name 'overlay*' -o -name '*.webp' \) -print | sort | sed 's/^/  /'
printf 'Leaderboard: results/leaderboard.csv, results/leaderboard.html (open it in a browser)\n'
printf 'Done in %d s.\n' $((SECONDS - begin))
