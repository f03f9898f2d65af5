"""The documents as a site: pages that are made when it is built."""
