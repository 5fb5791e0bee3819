# Stacks and tracebacks through the import system.
import os
import sys

open('deep.py', 'w').write('''
import inspect, sys, traceback
print(len(inspect.stack()), [f.function for f in inspect.stack()])
traceback.print_stack(file=sys.stdout)
''')
open('bad.py', 'w').write('import json\n1/0\n')
open('worse.py', 'w').write('import bad\n')
open('wrong.py', 'w').write('x = (\n')
open('lacks.py', 'w').write('import nothing_such\n')
open('names.py', 'w').write('from json import nothing_such\n')
import deep
import traceback
for name in 'bad', 'worse', 'wrong', 'lacks', 'names', 'no_module':
    try:
        __import__(name)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    print(name in sys.modules)


class Loader:
    def create_module(self, spec):
        print([f.function for f in __import__('inspect').stack()][:2])

    def exec_module(self, module):
        frame, names = sys._getframe(), []
        while frame:
            names.append((frame.f_code.co_name, frame.f_code.co_filename))
            frame = frame.f_back
        print(names)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'made':
            return __import__('importlib.machinery').machinery.ModuleSpec(name, Loader())


sys.meta_path.insert(0, Finder())
import made
print(made.__name__, made.__spec__.name, sys.getrecursionlimit())
import worse
