"""The reference pages of the site, made from the code: a module for each page, and the hooks by which MkDocs asks."""
