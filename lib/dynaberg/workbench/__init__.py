"""The workbench: what a notebook holds, by subject."""

from dynaberg.workbench.workbench import Workbench, connect

__all__ = ["Workbench", "connect"]
