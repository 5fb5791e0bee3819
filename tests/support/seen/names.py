# What is in every module: names, kinds, plain values, where it is from.
import sys

import collections, copy, csv, dataclasses, datetime, decimal, enum, fractions, functools, hashlib, heapq, itertools, json
import math, operator, pathlib, queue, random, re, shutil, statistics, string, struct, subprocess, tempfile, textwrap
import threading, time, traceback, typing
import asyncio, importlib.util, inspect, logging, pickle, unittest

VARIES = {'_cache', '_startTime'}  # what re has compiled, and a clock


def text(value):
    if type(value) in (str, int, bool, type(None), bytes):
        return repr(value) if len(str(value)) < 60 else ''  # longer ones are made of sets
    if type(value) in (list, dict, set, frozenset, tuple):
        return len(value)
    return getattr(value, '__module__', ''), getattr(value, '__qualname__', '')


for name in sorted(sys.modules):
    module = sys.modules[name]
    spec = getattr(module, '__spec__', None)
    print(name, spec and (spec.name, spec.parent, spec.origin, spec.cached, str(spec.loader).partition(' at ')[0]))
    for key in sorted(vars(module)):
        if key not in VARIES and module.__name__ != '__main__':
            print(' ', key, type(vars(module)[key]).__name__, text(vars(module)[key]))
