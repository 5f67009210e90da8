"""Stand-ins for models and links, for the tests of programs that use Tandem."""
