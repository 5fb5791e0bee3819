# What each import brings: the same modules, each import in a process of its own.
import os
import sys

NAMES = '''collections copy csv dataclasses datetime decimal enum fractions functools hashlib heapq itertools json math
operator pathlib queue random re shutil statistics string struct subprocess tempfile textwrap threading time traceback typing
argparse asyncio atexit collections.abc concurrent.futures contextlib copyreg gc importlib importlib.util inspect logging
pickle pkgutil resource selectors signal socket types unittest warnings weakref xml.etree.ElementTree zipfile
_datetime _decimal _json _pickle _random _struct'''.split()

for name in NAMES:
    sys.stdout.flush()
    if os.fork():
        os.wait()
        continue
    before = set(sys.modules)
    try:
        __import__(name)
    except ImportError as e:
        print(e)
    print(name, sorted(m for m in sys.modules if m not in before), len(sys.path_importer_cache))
    sys.stdout.flush()
    os._exit(0)
