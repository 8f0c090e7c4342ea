"""The image of oomkeeper itself, from the Dockerfile, as an archive in the cache: `make image`.

    image = operator_image(say=print)
    image.name        # oomkeeper.local/oomkeeper:0.1.0-4f2a…, another one whenever its content is another
    image.archive     # what `ctr images import`, `docker load` and `kind load image-archive` take

Its base is what the Dockerfile names where a registry gives it, else Debian's Python on a debootstrap.
"""

from .making import OperatorImage, operator_image

__all__ = ["OperatorImage", "operator_image"]
