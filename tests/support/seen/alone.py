# What a program finds that imports nothing but sys: modules, paths, streams, its process.
import sys

print(list(sys.modules))
print(list(sys.path_importer_cache), sys.path, sys.path_hooks.__len__(), sys.meta_path)
for name, value in sorted(vars(sys).items()):
    kind = type(value)
    print(name, kind.__name__, value if kind in (str, int, bool, type(None), float, tuple) else '')
print(sys.flags, sys.orig_argv, sys.warnoptions, sys._xoptions)
for stream in sys.stdin, sys.stdout, sys.stderr:
    print(stream.name, stream.mode, stream.encoding, stream.errors, stream.newlines, stream.line_buffering,
          stream.write_through, type(stream.buffer).__name__, type(stream.buffer.raw).__name__)
for name, value in sorted(vars(__builtins__).items()):
    print(name, type(value).__name__, getattr(value, '__module__', ''), getattr(value, '__qualname__', ''))
for name, module in list(sys.modules.items()):
    spec = module.__spec__
    print(name, spec and (spec.name, spec.origin, spec.cached, spec.has_location, str(spec.loader).partition(' at ')[0]),
          getattr(module, '__file__', ''), getattr(module, '__cached__', ''))
print(open('/proc/self/cmdline').read().split('\0'))
for line in open('/proc/self/status'):
    if line.startswith(('Name', 'State', 'Tracer', 'Uid', 'Gid', 'Groups', 'Threads', 'Sig', 'Shd', 'Cap', 'NoNew', 'Secc')):
        print(line, end='')
