"""From anybody's images to the prepared form: records, datasets, splits, augmentation."""
