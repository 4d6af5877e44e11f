"""Data sets: recordings with labels, from a folder, from what nrt ships, or from tonic."""

from nrt.dataset.dataset import Dataset, Sample
from nrt.dataset.folder import recordings, unlabelled
from nrt.dataset.load import load

__all__ = ["Dataset", "Sample", "load", "recordings", "unlabelled"]
