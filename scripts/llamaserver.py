"""Serve a GGUF over HTTP with llama.cpp's own server (PyPI xllamacpp), for `make bench-peers`. By hand:

    python llamaserver.py model.gguf port [--threads 2] [--parallel 8]

Nothing is set but what both sides of a comparison share; the rest are the server's defaults.
"""

import argparse
import signal

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("port", type=int)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--parallel", type=int, default=8)
parser.add_argument("--context", type=int, default=8192)


def main():
    import xllamacpp

    args = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.hostnames, params.port, params.endpoint_props = ["127.0.0.1"], args.port, True
    params.n_parallel, params.kv_unified = args.parallel, True
    params.n_ctx = args.context  # of all slots together: answers to one prompt share its cells
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    server = xllamacpp.Server(params)  # serves from threads of its own
    print(server.listening_address, flush=True)
    signal.pause()  # until a signal ends the process


if __name__ == "__main__":
    main()
