"""What several tests need: servers, factories, and ways to run the command line."""
