"""All is in pyproject.toml, but for this: HOOP_COMPILE=1 has mypyc compile the modules of gateway/compiled.py. That takes a compiler."""

import os
import runpy

from setuptools import setup

if os.environ.get("HOOP_COMPILE") == "1":
    try:
        from mypyc.build import mypycify
    except ImportError:  # what is needed is asked for first, without it
        setup(setup_requires=["mypy[mypyc]>=2.4"])
    else:
        names = runpy.run_path("gateway/compiled.py")["MODULES"]
        files = [f"{name.replace('.', '/')}.py" for name in names]
        # Types of what is imported are looked at where they are there; `make lint` is where mypy complains.
        options = [
            "--config-file=",
            "--ignore-missing-imports",
            "--follow-imports=silent",
            "--namespace-packages",
            "--explicit-package-bases",
        ]
        setup(ext_modules=mypycify([*options, *files], group_name="hoop_gate", opt_level="3", debug_level="0"))
else:
    setup()
