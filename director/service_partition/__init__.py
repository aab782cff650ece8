"""Service Partitions: servers, such as that of a language model, on nodes of the job that are set aside for them."""
