"""What a text must keep to: grammars, and from token ids alone what one allows next, the same on both sides."""
