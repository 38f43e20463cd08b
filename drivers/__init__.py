"""Transports, instruments and boards, and the rigs assembled from them."""

from labrhel.siblings import require_sibling

require_sibling(__name__, __file__)
