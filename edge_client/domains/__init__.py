"""Which of a bundle's verifiers a text is written with, where it has several: the one that its audits bear out."""
