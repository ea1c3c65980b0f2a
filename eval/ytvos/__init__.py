"""YouTube-VOS 2018: objects that appear at any time, by label propagation with a frozen encoder."""
