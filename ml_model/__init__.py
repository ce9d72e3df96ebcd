"""The model: dataset, training, evaluation, artifact, prediction, serving."""
