# All of it works on a fresh Debian 12 as root; what is missing is installed first.
#
#   make demo       a lab of two switches: crash, silent death, return and restore, with a timeline
#   make test       unit tests (twice) and those of the lab
#   make test-long  what they leave out: tests that are the larger, or one more, of what a shorter one shows
#   make unit       unit tests, with Debian's packages and then with the current ones of PyPI (these without the laws)
#   make mutations  break the core on purpose, one law at a time, and see that the tests notice; takes minutes
#   make lab-test   tests on real servers in network namespaces
#   make lint       ruff and mypy
#   make explore    all states of a small model of the pair, as far as EXPLORE_ARGS says; minutes
#   make bench      how long each kind of failover takes
#   make soak       random faults on real servers under load, and a check of every write: MINUTES=10 SEED=a new one
#   make switchovers   COUNT=100 switchovers under each of two loads, and a check of every write
#   make man        write the man pages anew from the help texts and the keys of the configuration
#   make docs     the pages of docs/ by Sphinx, in build/docs; a warning is an error
#   make completion write the completions of bash and zsh anew from the command line
#   make deb        the Debian package, in dist/
#   make deb-test   that package in a fresh Debian 12: installed, upgraded, removed, purged, its units looked at
#   make machines-test  two Debian 12 machines under systemd, with nothing but the package, are a pair
#   make machines-page  only what docs/install.rst says of init and join, typed on them
#   make deps       only install what the others need
#   make install    put it on this machine, below DESTDIR if that is given; keeps a configuration that is there
#   make clean      remove what they left in this directory
#
# OVSHA_MACHINES_CACHE names a directory for the Debian 12 root that deb-test and machines-test start from, kept between
# runs; by default /var/tmp/ovsha-machines.
#
# PYTEST_ARGS goes to each pytest: make unit PYTEST_ARGS='-k config'.  Tests run side by side, for two cores; those of
# the lab mostly wait.  PYTEST_ARGS='-n 0' runs them one after the other, where a debugger can be used.

PYTHON := /usr/bin/python3

# The lab starts a thousand programs: without what is compiled on disk, a third of their time would be compiling.
unexport PYTHONDONTWRITEBYTECODE

# Tests of the core alone, which uses no package: they need not be run a second time for other packages.
LAWS := core protocol sim model project/test_mutations.py project/test_layers.py
PYTEST_ARGS ?=
EXPLORE_ARGS ?= --faults 2 --late 0 --states 1000000
COUNT ?= 100
MINUTES ?= 10
SEED ?=

.PHONY: deb deb-test machines-test machines-page deps-deb deps-machines install-data demo test test-long unit unit-debian unit-current mutations lab-test lint ruff mypy explore bench soak switchovers man completion docs deps deps-apt install clean

demo: deps-apt
	$(PYTHON) integration/demo.py

man: deps-apt
	$(PYTHON) scripts/man.py

docs: deps-apt
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs build/docs

completion: deps-apt
	$(PYTHON) scripts/completion.py

explore: deps-apt
	PYTHONPATH=. $(PYTHON) tests/model/exploration.py $(EXPLORE_ARGS)

bench: deps-apt
	$(PYTHON) integration/bench.py

soak: deps-apt
	$(PYTHON) integration/soak.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

switchovers: deps-apt
	$(PYTHON) integration/switchovers.py --count $(COUNT)

test: unit lab-test

test-long: deps-apt
	$(PYTHON) -m pytest integration -n 2 -m long $(PYTEST_ARGS)

unit: unit-debian unit-current

unit-debian: deps-apt
	$(PYTHON) -m pytest tests -n 3 $(PYTEST_ARGS)

unit-current: deps
	.venv/bin/python -m pytest tests -n 3 $(LAWS:%=--ignore=tests/%) $(PYTEST_ARGS)

mutations: deps-apt
	$(PYTHON) -m pytest tests/project/test_mutations.py -n 2 $(PYTEST_ARGS)

lab-test: deps-apt
	$(PYTHON) -m pytest integration -n 4 -m "not long" $(PYTEST_ARGS)

lint: ruff mypy

ruff: deps
	.venv/bin/ruff check

mypy: deps
	.venv/bin/mypy

deps:
	scripts/install-deps.sh

deps-apt:
	scripts/install-deps.sh apt

install: install-data
	find ovsha -name '*.py' -o -name py.typed | while read -r file; do \
	    install -Dm644 "$$file" "$(DESTDIR)/usr/lib/python3/dist-packages/$$file" || exit 1; done
	install -d "$(DESTDIR)/usr/bin"
	for entry in ovsha:ovsha.cli.main ovsha-ovsdb-server:ovsha.ovsdb.launch ovsha-vtep-bootstrap:ovsha.cli.vtep_main; do \
	    printf '#!/usr/bin/python3\nimport sys\n\nfrom %s import main\n\nsys.exit(main())\n' "$${entry#*:}" \
	        >"$(DESTDIR)/usr/bin/$${entry%%:*}" && chmod 755 "$(DESTDIR)/usr/bin/$${entry%%:*}" || exit 1; done
	test -e "$(DESTDIR)/etc/ovsha/ovsha.yaml" || install -Dm644 etc/ovsha.yaml "$(DESTDIR)/etc/ovsha/ovsha.yaml"

# What is neither Python nor the operator's; debian/rules uses it as well.
install-data:
	install -d "$(DESTDIR)/etc/ovsha/hooks.d"
	install -Dm644 -t "$(DESTDIR)/usr/share/ovsha" etc/ovsha.yaml
	install -Dm755 -t "$(DESTDIR)/usr/share/ovsha" etc/mlag-facts.keepalived
	install -Dm644 -t "$(DESTDIR)/usr/share/ovsha/prometheus" etc/prometheus/ovsha.rules.yml
	install -Dm644 -t "$(DESTDIR)/usr/share/ovsha/grafana" etc/grafana/ovsha.json
	install -Dm644 -t "$(DESTDIR)/usr/share/man/man8" man/ovsha.8 man/ovsha-ovsdb-server.8 man/ovsha-vtep-bootstrap.8
	install -Dm644 -t "$(DESTDIR)/usr/share/man/man5" man/ovsha.yaml.5
	install -Dm644 etc/completion/ovsha.bash "$(DESTDIR)/usr/share/bash-completion/completions/ovsha"
	install -Dm644 -t "$(DESTDIR)/usr/share/zsh/vendor-completions" etc/completion/_ovsha
	install -Dm644 -t "$(DESTDIR)/lib/systemd/system" systemd/*.service systemd/*.timer

deb: deps-deb
	scripts/build-deb.sh

deb-test: deps-deb deps-machines
	OVSHA_MACHINES=1 $(PYTHON) -m pytest integration/test_package.py $(PYTEST_ARGS)

machines-test: deps-deb deps-machines
	OVSHA_MACHINES=1 $(PYTHON) -m pytest integration/test_machines*.py $(PYTEST_ARGS)

machines-page: deps-deb deps-machines
	OVSHA_MACHINES=1 $(PYTHON) -m pytest integration/test_machines_install.py -k join $(PYTEST_ARGS)

deps-deb:
	scripts/install-deps.sh apt deb

deps-machines:
	scripts/install-deps.sh apt machines

clean:
	rm -rf .venv .packages .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
