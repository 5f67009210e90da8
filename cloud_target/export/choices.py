"""What the options of `export` may be; apart from the rest so that the command line can say so without torch. The first
is the default."""

KINDS = ("auto", "shared-buffer", "concat")
DTYPES = ("float32", "auto", "int8", "int4")
BLOCKS = (32, 64, 128)
ACTIVATIONS = ("int8", "float32")
HEADS = ("int8", "float32", "int4")
