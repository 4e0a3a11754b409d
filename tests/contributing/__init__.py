"""What others add, done once each: the worked examples of CONTRIBUTING.md, with the files of the package
that each touches."""
