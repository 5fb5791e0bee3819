# What modules remember: nobody has used them.
import atexit
print(atexit._ncallbacks())
import contextvars
print(len(contextvars.copy_context()))
import gc
print(gc.isenabled(), gc.get_debug(), gc.callbacks, gc.garbage, gc.get_threshold())
import os
import posix
print(sorted(posix.environ.items()), posix.environ == dict(os.environb), os.umask(0o22))
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.getlogin if 0 else '', os.getgroups())
import re
print([len(value) for name, value in sorted(vars(re).items()) if 'cache' in name and isinstance(value, dict)])
import linecache
print(linecache.cache)
import warnings
print(warnings.filters, getattr(warnings, 'onceregistry', None), '__warningregistry__' in globals())
import decimal
print(decimal.getcontext(), decimal.DefaultContext)
import locale
print(locale.setlocale(locale.LC_ALL), locale.getlocale(), locale.getpreferredencoding(False))
import tempfile
print(tempfile.tempdir, tempfile._name_sequence, tempfile.gettempdir())
import threading
print(threading.enumerate().__len__(), threading.main_thread().name, threading.stack_size(), threading.gettrace(),
      threading.excepthook is threading.__excepthook__, threading._active.__len__(), threading.Thread().name)
import signal
print(signal.getitimer(signal.ITIMER_REAL), signal.set_wakeup_fd(-1), signal.alarm(0), signal.sigpending())
import copyreg
print(sorted(str(k) for k in copyreg.dispatch_table), copyreg._extension_registry)
import random
a, b = random.random(), random.Random().random()
random.seed(7)
print(a != b, random.random(), random._inst.gauss_next)
import subprocess
print(subprocess._active, subprocess._USE_POSIX_SPAWN)
import faulthandler
print(faulthandler.is_enabled())
import resource
print(resource.getrlimit(resource.RLIMIT_STACK), list(resource.getrusage(resource.RUSAGE_CHILDREN)))
import site
print(site.ENABLE_USER_SITE, site.USER_SITE, site.USER_BASE, site.PREFIXES)
import functools
print(sorted(n for n, f in vars(functools).items() if type(f).__name__ == '_lru_cache_wrapper' and f.cache_info().currsize))
import datetime
print(datetime.datetime.strptime('2020', '%Y'), '_strptime' in __import__('sys').modules)
import time
print(time.get_clock_info('process_time'), time.process_time() < 5, time.tzname, time.timezone)
