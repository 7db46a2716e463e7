# Measurements; see benchmarks/README.md. PYTHON has tapecli, PEERS has the peers (the extras bench and
# bench-tensorflow), and may be the same. BENCH takes more options of benchmarks/peers/run.py.
PYTHON ?= .venv/bin/python
PEERS ?= $(PYTHON)

.PHONY: bench bench-quick bench-report

bench:
	$(PYTHON) benchmarks/peers/run.py --python $(PEERS) $(BENCH)

bench-quick:
	$(PYTHON) benchmarks/peers/run.py --python $(PEERS) --quick --out bench-quick.md --jsonl bench-quick.jsonl $(BENCH)

# the page anew, after notes were written
bench-report:
	$(PYTHON) benchmarks/peers/run.py --report benchmarks/peers/results.jsonl
