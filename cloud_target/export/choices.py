"""What the options of `export` may be; apart from the rest so that the command line can say so without torch. The first
is the default."""

KINDS = ("auto", "shared-buffer", "concat")
DTYPES = ("float32", "int8")
