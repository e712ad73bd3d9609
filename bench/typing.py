"""How much is left to prefill when Enter is pressed? See type_ahead.py, which this runs."""  # noqa: A005

import importlib.util
import sys
import sysconfig

if __name__ == "__main__":
    from type_ahead import main

    raise SystemExit(main())

# For every script in this folder the file stands in front of the standard library's `typing`: as a module it is that.
spec = importlib.util.spec_from_file_location(__name__, f"{sysconfig.get_path('stdlib')}/typing.py")
assert spec is not None
assert spec.loader is not None
sys.modules[__name__] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
