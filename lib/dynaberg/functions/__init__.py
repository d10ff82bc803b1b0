"""Code that runs inside Lambda: the standard library and boto3, and nothing else of Dynaberg."""
