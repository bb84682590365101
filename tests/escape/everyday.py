"""What agents write every day, as programs whose last expression is True if all went well."""

EVERYDAY = {
    "csv": """
import csv
with open('t.csv', 'w', newline='') as f: csv.writer(f).writerows([['a', 'b'], [1, 2]])
list(csv.DictReader(open('t.csv')))[0]['b'] == '2'
""",
    "json": """
import json
json.dump({'a': [1, None]}, open('x.json', 'w'))
json.load(open('x.json'))['a'][1] is None
""",
    "xml": """
import xml.etree.ElementTree as ET
ET.fromstring('<a><b c="1"/></a>').find('b').get('c') == '1'
""",
    "sqlite": """
import sqlite3
d = sqlite3.connect('d.db')
d.execute('pragma journal_mode=wal')
d.execute('create table t(x)')
d.executemany('insert into t values(?)', [(i,) for i in range(1000)])
d.commit()
d.execute('select sum(x) from t').fetchone()[0] == 499500
""",
    "zip": """
import zipfile
with zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a/b.txt', 'hi')
zipfile.ZipFile('x.zip').read('a/b.txt') == b'hi'
""",
    "tar and compression": """
import tarfile, gzip, bz2, lzma, zlib, shutil, os
os.mkdir('d'); open('d/f', 'w').write('x' * 999)
shutil.make_archive('a', 'gztar', 'd'); shutil.unpack_archive('a.tar.gz', 'out')
same = all(m.decompress(m.compress(b'z' * 99)) == b'z' * 99 for m in (gzip, bz2, lzma, zlib))
same and open('out/f').read() == 'x' * 999
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool: r = list(pool.map(lambda x: x * x, range(50)))
r[7] == 49
""",
    "asyncio": """
import asyncio
async def f(n):
    await asyncio.sleep(0.001); return n
sum(await asyncio.wait_for(asyncio.gather(*[f(n) for n in range(20)]), 5)) == 190
""",
    "asyncio.run": """
import asyncio
async def f():
    p = await asyncio.create_subprocess_exec('echo', 'hi', stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate()
    return out
asyncio.run(f()) == b'hi\\n'
""",
    "multiprocessing by fork": """
import multiprocessing as mp
def f(x): return x * x
with mp.get_context('fork').Pool(3) as pool: r = pool.map(f, range(10))
r == [x * x for x in range(10)]
""",
    "multiprocessing by spawn": """
import multiprocessing as mp, os
with mp.get_context('spawn').Pool(2) as pool: r = pool.map(os.path.basename, ['/a/b', '/c/d'])
r == ['b', 'd']
""",
    "multiprocessing by forkserver": """
import multiprocessing as mp, os
with mp.get_context('forkserver').Pool(2) as pool: r = pool.map(os.path.basename, ['/a/b', '/c/d'])
r == ['b', 'd']
""",
    "process pool": """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing as mp
with ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as pool: r = list(pool.map(abs, [-1, -2]))
r == [1, 2]
""",
    "queues, locks, shared memory": """
import multiprocessing as mp
from multiprocessing import shared_memory
c = mp.get_context('fork'); q, v, l = c.Queue(), c.Value('i', 0), c.Lock()
def f():
    with l: v.value += 1
    q.put('x')
ps = [c.Process(target=f) for _ in range(3)]
[p.start() for p in ps]; got = [q.get(timeout=10) for _ in ps]; [p.join() for p in ps]
s = shared_memory.SharedMemory(create=True, size=1000); s.buf[0] = 7; s.close(); s.unlink()
got == ['x'] * 3 and v.value == 3
""",
    "manager": """
import multiprocessing as mp
with mp.get_context('fork').Manager() as m:
    d = m.dict(); d['a'] = 1; r = dict(d)
r == {'a': 1}
""",
    "subprocess": """
import subprocess, sys
a = subprocess.run('echo $((6 * 7)) | tr -d "\\n"', shell=True, capture_output=True, text=True).stdout
b = subprocess.check_output([sys.executable, '-c', 'print(6 * 7)'], text=True)
(a, b) == ('42', '42\\n')
""",
    "tempfile": """
import tempfile, os
with tempfile.TemporaryDirectory() as d, tempfile.NamedTemporaryFile(dir=d) as f:
    f.write(b'x'); f.flush()
    ok = os.path.getsize(f.name) == 1
ok and not os.path.exists(d)
""",
    "logging": """
import logging, logging.handlers, io
s = io.StringIO(); logging.basicConfig(stream=s, force=True); logging.getLogger('a').warning('w')
h = logging.handlers.RotatingFileHandler('l.log', maxBytes=100, backupCount=1)
logging.getLogger().addHandler(h)
logging.error('e')
s.getvalue().startswith('WARNING:a:w') and 'e' in open('l.log').read()
""",
    "pathlib": """
from pathlib import Path
p = Path('a/b'); p.mkdir(parents=True); (p / 'c.txt').write_text('x'); Path('s').symlink_to('a')
[str(q) for q in Path('.').rglob('*.txt')][0].endswith('c.txt') and Path('s').resolve() == Path.home() / 'a'
""",
    "shutil and os.walk": """
import shutil, os
os.makedirs('a/b')
open('a/b/c', 'w').write('x')
shutil.copytree('a', 'z')
shutil.move('z', 'y')
shutil.rmtree('a')
[f for _, _, fs in os.walk('y') for f in fs] == ['c'] and shutil.disk_usage('.').total > 0
""",
    "dataclasses and enum": """
from dataclasses import dataclass, asdict, field
import enum, typing
@dataclass(order=True)
class P:
    x: int
    y: list = field(default_factory=list)
class C(enum.Enum): A = 1
asdict(P(1)) == {'x': 1, 'y': []} and typing.get_type_hints(P)['x'] is int and C(1) is C.A
""",
    "pickle": "import pickle\nclass T:\n    pass\ntype(pickle.loads(pickle.dumps(T()))) is T",
    "decimal and statistics": """
from decimal import Decimal, getcontext
from fractions import Fraction
import statistics, random, math
getcontext().prec = 50
third = Fraction(1, 3) + Fraction(1, 6) == Fraction(1, 2)
str(Decimal(1) / 7)[:8] == '0.142857' and statistics.median([1, 5, 3]) == 3 and third and random.random() < 1
""",
    "datetime and zones": """
from datetime import datetime, timezone
from zoneinfo import ZoneInfo
import time
d = datetime(2026, 7, 1, 12, tzinfo=timezone.utc).astimezone(ZoneInfo('America/New_York'))
d.hour == 8 and time.strftime('%Y') >= '2024'
""",
    "locale": """
import locale
locale.setlocale(locale.LC_ALL, ''); locale.getpreferredencoding().upper() == 'UTF-8'
""",
    "who am I": """
import getpass, os, platform, pwd, socket
me = getpass.getuser(), os.path.expanduser('~'), pwd.getpwuid(os.getuid()).pw_name
me == ('user', '/home/user', 'user') and bool(platform.platform()) and bool(socket.gethostname())
""",
    "sockets on loopback": """
import socket, threading
s = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: s.accept()[0].sendall(b'hi'), daemon=True).start()
socket.create_connection(s.getsockname(), timeout=5).recv(9) == b'hi'
""",
    "http.server": """
import http.server, threading, urllib.request
h = http.server.ThreadingHTTPServer(('localhost', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=h.serve_forever, daemon=True).start(); open('p.txt', 'w').write('page')
urllib.request.urlopen(f'http://localhost:{h.server_port}/p.txt', timeout=5).read() == b'page'
""",
    "unittest": """
import unittest, io
class T(unittest.TestCase):
    def test(self): self.assertEqual(1, 1)
unittest.main(argv=['x'], exit=False, testRunner=unittest.TextTestRunner(stream=io.StringIO())).result.wasSuccessful()
""",
    "doctest and timeit": """
import doctest, timeit
def f():
    '''
    >>> f()
    1
    '''
    return 1
doctest.testmod().failed == 0 and timeit.timeit('1', number=10) >= 0
""",
    "ctypes": """
import ctypes
libc = ctypes.CDLL(None)
at = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
a = (ctypes.c_int * 3)(3, 1, 2); libc.qsort(a, 3, 4, at(lambda x, y: x[0] - y[0]))
list(a) == [1, 2, 3]
""",
    "mmap": """
import mmap
m = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); m[:2] = b'hi'
f = open('m', 'w+b'); f.truncate(4096); n = mmap.mmap(f.fileno(), 0); n[:2] = b'ho'; n.flush()
m[:2] == b'hi' and open('m', 'rb').read(2) == b'ho'
""",
    "signal.alarm": """
import signal
class T(Exception): pass
def h(*_): raise T
signal.signal(signal.SIGALRM, h); signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    signal.pause()
except T:
    ok = True
ok
""",
    "hashing and secrets": """
import hashlib, hmac, secrets, uuid, base64, ssl
ssl.create_default_context()
known = hashlib.sha256(b'').hexdigest()[:4] == 'e3b0'
known and len(secrets.token_hex(8)) == 16 and len({uuid.uuid4(), uuid.uuid1()}) == 2
""",
    "email and html": """
import email.message, html, urllib.parse, textwrap, re, string, difflib
m = email.message.EmailMessage(); m['Subject'] = 'é'; m.set_content('x')
bytes(m) and html.escape('<') == '&lt;' and urllib.parse.quote('a b') == 'a%20b'
""",
    "inspect and introspection": """
import inspect, ast, dis, io, contextlib, traceback, sys, gc, weakref
def f(x): return x + 1
with contextlib.redirect_stdout(io.StringIO()) as out: dis.dis(f); print('x')
'x + 1' in inspect.getsource(f) and 'x' in out.getvalue()
""",
    "a module of one's own": """
open('helper.py', 'w').write('def f(): return 42')
import helper
helper.f() == 42
""",
    "input that is empty": "try:\n    input()\nexcept EOFError:\n    ok = True\nok",
    "venv-less pip": """
import importlib.metadata, sysconfig, site
bool(sysconfig.get_paths()['stdlib'])
""",
    "resource and limits": """
import resource, os
resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 64 and os.cpu_count() >= 1 and len(os.sched_getaffinity(0)) >= 1
""",
    "numpy": """
import numpy as np
a = np.arange(10**6, dtype=float).reshape(1000, 1000)
np.save('a.npy', a[:10])
m = np.memmap('m.dat', dtype='f8', mode='w+', shape=(100,))
m[:] = 1
m.flush()
numbers = np.random.default_rng(1).random() < 1 and abs(np.linalg.det(np.eye(50)) - 1) < 1e-9
bool((a @ a).shape == (1000, 1000) and np.load('a.npy').shape == (10, 1000) and numbers)
""",
    "pandas": """
import pandas as pd
d = pd.DataFrame({'g': list('aabb'), 'x': range(4), 't': pd.date_range('2026-01-01', periods=4, tz='Europe/Paris')})
d.to_csv('d.csv', index=False); d.to_json('d.json', orient='records')
bool(pd.read_csv('d.csv').groupby('g').x.sum()['b'] == 5)
""",
    "openpyxl": """
import openpyxl
w = openpyxl.Workbook(); w.active.append(['a', 1]); w.save('w.xlsx')
openpyxl.load_workbook('w.xlsx').active['B1'].value == 1
""",
    "lxml": "from lxml import etree\netree.fromstring(b'<a><b/></a>').xpath('//b')[0].tag == 'b'",
    "PIL": """
from PIL import Image, ImageDraw, ImageFilter
i = Image.new('RGB', (64, 64), 'red')
ImageDraw.Draw(i).text((1, 1), 'x')
i.resize((32, 32)).filter(ImageFilter.BLUR).save('i.png')
i.save('i.jpg')
Image.open('i.png').size == (32, 32)
""",
    "matplotlib": """
import matplotlib.pyplot as plt, os
plt.plot([1, 2, 3]); plt.title('é'); plt.savefig('p.png'); plt.savefig('p.pdf')
os.path.getsize('p.png') > 1000
""",
    "pytest": """
import subprocess, sys
open('test_x.py', 'w').write('def test_x(tmp_path): assert tmp_path.exists()')
command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'test_x.py']
subprocess.run(command, capture_output=True).returncode == 0
""",
}
