"""The driver of SynSense Speck2f boards: networks on nine convolutional cores, over the vendor's samna API."""
