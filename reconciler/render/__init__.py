"""Files for service managers and clusters, made from the same options and manifests. Pure: values in, texts out."""
