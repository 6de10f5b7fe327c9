"""The worker pool of a batch, and what makes a row wait or stops the batch."""
