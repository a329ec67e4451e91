"""A plant that runs what is committed, with the real binary and real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.plant import Plant, sleeper
from tests.repository import Repository
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

PROGRAM = "#!/bin/sh\nexec sleep 100000\n"
GATEWAY = """apiVersion: daq/v1
kind: Collector
metadata: {name: gw}
spec:
  type: exec
  command: [bin/gw]
"""


@pytest.fixture
def repository(plant: Plant) -> Repository:
    plant.desired.rmdir()
    return Repository(plant.root / "plant")


def options(repository: Repository, pull: str = "100ms") -> list[str]:
    return ["--git", str(repository.root), "--pull", pull, "--state-dir", ".daq"]


def test_what_is_committed_runs_and_a_broken_commit_stops_nothing(
    plant: Plant, repository: Repository
) -> None:
    first = repository.commit({"desired/a.yaml": sleeper("a"), "desired/b.yaml": sleeper("b")})
    plant.start_loop(*options(repository))
    plant.wait_ready("a", "b")
    pids = plant.pids()
    assert plant.status("a")["applied_revision"] == first
    bad = repository.commit({"desired/a.yaml": "kind: [", "desired/c.yaml": sleeper("c")})
    wait_until(lambda: plant.source()["error"], "the broken commit to be told")
    source = plant.source()
    assert (source["attempted"], source["applied"], source["branch"]) == (bad, first, "main")
    assert (plant.pids(), plant.status("c")) == (pids, {})
    good = repository.commit({"desired/a.yaml": sleeper("a")})
    plant.wait_ready("c")
    assert set(pids) < set(plant.pids())
    assert (plant.source()["applied"], plant.source()["error"]) == (good, None)


def test_a_program_of_the_commit_runs_from_a_checkout_that_stays_while_it_runs(
    plant: Plant, repository: Repository
) -> None:
    repository.write({"bin/gw": PROGRAM})
    (repository.root / "bin" / "gw").chmod(0o755)
    first = repository.commit({"desired/gw.yaml": GATEWAY})
    repository.write({"bin/gw": "not a program\n"})
    plant.start_loop(*options(repository))
    plant.wait_ready("gw")
    (pid,) = plant.pids("gw")
    checkout = plant.state / "git" / "checkouts" / first
    assert Path(f"/proc/{pid}/cwd").resolve() == checkout.resolve()
    second = repository.commit({"bin/gw": PROGRAM, "desired/b.yaml": sleeper("b")})
    plant.wait_ready("b")
    assert plant.source()["applied"] == second
    assert plant.pids("gw") == [pid]
    assert checkout.exists()
    repository.commit({"desired/gw.yaml": GATEWAY + "  env: {TZ: UTC}\n"})
    wait_until(lambda: not checkout.exists(), "the unused checkout to go", 30)
    assert plant.pids("gw") != [pid]


def test_a_rewritten_branch_waits_for_apply_with_force(plant: Plant, repository: Repository) -> None:
    repository.commit({"desired/a.yaml": sleeper("a")})
    first = repository.commit({"desired/b.yaml": sleeper("b")})
    plant.start_loop(*options(repository, "1h"))
    plant.wait_ready("a", "b")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    rewritten = repository.commit({"desired/c.yaml": sleeper("c")})
    refused = plant.daq("apply", "--state-dir", ".daq")
    assert refused.returncode == 2
    assert "daq apply --force" in refused.stderr
    assert plant.source()["applied"] == first
    assert plant.daq("apply", "--force", "--state-dir", ".daq").returncode == 0
    assert plant.source()["applied"] == rewritten
    assert (len(plant.pids("b")), len(plant.pids("c"))) == (0, 1)


def test_apply_without_a_loop_fetches_what_it_applies(plant: Plant, repository: Repository) -> None:
    repository.commit({"desired/a.yaml": sleeper("a")})
    done = plant.daq("apply", *options(repository))
    assert (done.returncode, len(plant.pids("a"))) == (0, 1), done.stderr
    assert plant.daq("diff", *options(repository)).returncode == 0
    repository.commit({"desired/a.yaml": sleeper("a", "  env: {TZ: UTC}\n")})
    assert plant.daq("diff", *options(repository)).returncode == 1


def test_validate_judges_the_newest_commit_and_not_the_work_tree(
    plant: Plant, repository: Repository
) -> None:
    repository.commit({"desired/a.yaml": sleeper("a")})
    repository.write({"desired/a.yaml": "kind: ["})
    good = plant.daq("validate", *options(repository))
    assert (good.returncode, good.stderr) == (0, "1 manifest is valid\n")
    repository.commit({"desired/a.yaml": "kind: ["})
    bad = plant.daq("validate", *options(repository))
    assert (bad.returncode, bad.stdout.startswith("a.yaml:2:1: yaml: ")) == (2, True), bad.stdout


def test_two_commits_are_compared_without_a_host(plant: Plant, repository: Repository) -> None:
    first = repository.commit({"desired/a.yaml": sleeper("a"), "desired/b.yaml": sleeper("b")})
    repository.commit({"desired/b.yaml": None, "desired/c.yaml": sleeper("c")})
    repository.commit({"desired/a.yaml": sleeper("a", "  env: {TZ: UTC}\n")})
    where = ("--desired", "plant/desired", "--state-dir", ".daq")
    found = plant.daq("diff", "--from", first, *where)
    assert found.returncode == 1, found.stderr
    assert [line.split()[:2] for line in found.stdout.splitlines() if line[0] != " "][:3] == [
        ["restart", "a"],
        ["stop", "b"],
        ["start", "c"],
    ]
    same = plant.daq("diff", "--from", "main", "--git", "plant", "--state-dir", ".daq")
    assert same.returncode == 0, same.stdout + same.stderr
    unknown = plant.daq("diff", "--from", "no-such", *where)
    assert (unknown.returncode, unknown.stderr.startswith("cannot find the commit no-such")) == (2, True)
    repository.commit({"desired/a.yaml": "kind: ["})
    assert plant.daq("diff", "--from", first, "--to", "HEAD", *where).returncode == 2
    assert not plant.state.exists()
