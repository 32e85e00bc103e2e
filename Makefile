# What there is to do with this repository. `make help` lists it.

.PHONY: help build release demo test matrix soak bench-sweep bench-measure bench-responder bench-page screenshots fuzz mutants fmt
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

build: ## build the program (target/release/raysweep)
	cargo build --release --locked

release: ## build what is shipped into dist/ for glibc 2.17 and try it in a fresh Debian (PROFILE=dev: sooner); as root
	deploy/release.sh
	tests/package/run.sh $(or $(DIST),dist)/raysweep_*.deb

demo: ## one alert end to end on real parts, in a world of its own; as root
	deploy/demo/demo.sh

test: ## everything that can be checked, with one closing line; as root
	tests/all.sh

matrix: ## every kind of work on two versions of real Ray against a sweep; as root
	tests/matrix/run.sh

soak: ## long plays against sweeps, then the tests ROUNDS=10 times (LENGTH=short); as root, figures in docs/soak.md
	tests/soak.sh

bench-sweep: ## measure removal, usage, verdicts, memory beside others (FILES=20000 ROUNDS=1: minutes); as root
	benches/run.sh

bench-measure: ## what `measure` costs 64 workers with 3,000,000 files in ten minutes (MINUTES=1); as root
	benches/measure-duty.sh

bench-responder: ## measure notifications accepted, on disk, beside webhook, and memory (SECONDS_EACH=1 ROUNDS=1: one minute of seven)
	benches/responder.sh

bench-page: ## measure the page's first byte with 100,000 attempts in the journal beside none (ATTEMPTS=1000: seconds)
	benches/page.sh

screenshots: ## the page's pictures into docs/page (KEEP), by its tests in a browser; as root
	KEEP=$(or $(KEEP),docs/page) tests/browser/run.sh pictures::

fuzz: ## what has to hold for any input, each target for SECONDS=600
	fuzz/run.sh $(or $(SECONDS),600)

mutants: ## take each rule out of the code that decides (FILES), and list what nobody misses; hours
	tests/mutants.sh $(FILES)

fmt: ## format the sources
	cargo fmt
