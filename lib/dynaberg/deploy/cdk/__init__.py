"""The same stacks for people who deploy with the CDK: a thin app over the templates.

Nothing here is used from Python: `cdk.json` starts `python -m dynaberg.deploy.cdk.app`. It needs the extra
`cdk`, and Node.
"""

__all__: list[str] = []
