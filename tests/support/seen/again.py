# Imports that are not the plain case: again, anew, by hand, refused, of a package without what others take from it.
import sys
import collections
print(hasattr(collections, 'abc'))
import importlib
print(hasattr(importlib, 'util'), hasattr(importlib, 'machinery'), hasattr(importlib, 'abc'), hasattr(importlib, 'metadata'))
import json
print([n for n in dir(json)])
first = json
del sys.modules['json']
import json
print(json is first, hasattr(json, 'decoder'), json.JSONDecoder is first.JSONDecoder)
print(importlib.reload(json) is json)
import importlib.util
for name in 'json', 'typing', 'decimal', '_decimal', 'math', 'fractions', 'importlib.machinery':
    spec = importlib.util.find_spec(name)
    print(name, name in sys.modules, spec.name, type(spec.loader), spec.loader if isinstance(spec.loader, type) else '', spec.origin)
spec = importlib.util.find_spec('textwrap')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import textwrap
print(module is textwrap, module.TextWrapper is textwrap.TextWrapper, textwrap.__spec__ is spec, type(textwrap.__loader__))
sys.modules['shutil'] = None
try:
    import shutil
except ImportError as e:
    print(type(e), e)
try:
    import not_there
except ImportError as e:
    print(e, e.name, e.path)


asked = []


class Finder:
    def find_spec(self, name, path=None, target=None):
        asked.append((name, path and list(path)))


sys.meta_path.insert(0, Finder())
import heapq
import statistics
sys.meta_path.pop(0)
print(sorted(asked))
open('fractions.py', 'w').write('mine = 1\n')
importlib.invalidate_caches()
print('fractions' in sys.modules)
import queue
import _queue
print(queue.Empty is _queue.Empty, queue.SimpleQueue is _queue.SimpleQueue)
import struct
import _struct
print(struct.error is _struct.error)
import enum, re
print(enum.Flag is re.enum.Flag, isinstance(re.I, enum.Flag))
import pickle
print(pickle.loads(pickle.dumps([struct.error('x'), collections.OrderedDict(a=1), re.compile('a')])))
