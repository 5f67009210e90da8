"""From the target's logits to its own tokens, its audits and its draws, on the device that computed them."""
