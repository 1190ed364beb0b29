"""Datasets: tables of images, their prepared form, splits, batches and augmentation."""
