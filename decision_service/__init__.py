"""The decision service: answers before the payment goes on, with the features and the decision core of the stream."""
