"""VIP: the parts of people, by label propagation with a frozen encoder."""
