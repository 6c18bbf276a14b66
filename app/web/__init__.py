"""What the web pages show, as values: languages, search, releases, descriptions, feeds."""
