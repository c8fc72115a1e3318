"""Serves a small model on loopback, as llama.cpp's server does: its OpenAI-compatible API, for requests with a key.

  serve.py MODEL.gguf API_KEY

Says its address in one line on standard output, and ends when standard input does, so that it never outlives its test.
"""

import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.api_keys = [sys.argv[2]]
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cache_ram_mib = 2048, 1, 0
params.ui = params.warmup = params.fit_params = False
# More threads than idle cores wait for each other most of the time.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
# A model so small repeats itself without end unless repeating costs it something.
sampling = params.sampling
sampling.dry_multiplier, sampling.dry_allowed_length, sampling.dry_penalty_last_n = 0.8, 2, params.n_ctx

server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
