"""UAVDT vehicle detection: the official layout, both protocols, and the Faster R-CNN run that feeds them."""
