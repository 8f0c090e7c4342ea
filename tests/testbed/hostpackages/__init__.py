"""`make packages`: a .deb and an .rpm of oomkeeper for a single host, with its unit and manual pages."""
