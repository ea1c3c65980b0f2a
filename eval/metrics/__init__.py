"""Detection metrics that more than one benchmark uses: matching, COCO's numbers, their bootstrap over images."""
