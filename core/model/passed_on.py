"""Variables of a person's shell that tools look at and that are no secret: the worker is started with them, and the
tools of its runs get them from it. Proxies are not among them: they may have a password, and come with each run."""

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Who is believed on the network."""
PACKER = ("PACKER_PLUGIN_PATH", "PACKER_CONFIG_DIR", "XDG_CONFIG_HOME")
"""Where this machine's Packer keeps its plugins."""
LIBGUESTFS = ("LIBGUESTFS_CACHEDIR", "LIBGUESTFS_PATH", "SUPERMIN_KERNEL", "SUPERMIN_MODULES")
"""What libguestfs makes its small machine of, and where."""
FOR_TOOLS = (*CERTIFICATES, *PACKER, *LIBGUESTFS)
