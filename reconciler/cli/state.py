"""`daq start`, `daq stop`: what a manifest wants, written into it; the loop does the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from reconciler import desired
from reconciler.cli.asking import fail
from reconciler.cli.chosen import All, Names, Selector, choose
from reconciler.cli.options import Options
from reconciler.desired.edit import Edit, EditError, State, with_state
from reconciler.gitsource.remote import Remote
from reconciler.loop.ask import answers
from reconciler.model import Manifest

if TYPE_CHECKING:
    from reconciler.gitsource.commands import Git

Commit = Annotated[bool, typer.Option("--commit", help="Commit the change, and nothing else.")]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one file for one name."""

    name: str
    file: Path
    edit: Edit


def start(
    options: Options,
    names: Names = None,
    *,
    selector: Selector = None,
    everything: All = False,
    commit: Commit = False,
) -> None:
    """Write state: running into their manifests, all else untouched. Exit 0, or 2 where that cannot be."""
    _write(options, "start", "running", names, selector, everything=everything, commit=commit)


def stop(
    options: Options,
    names: Names = None,
    *,
    selector: Selector = None,
    everything: All = False,
    commit: Commit = False,
) -> None:
    """Write state: stopped into their manifests, all else untouched. Exit 0, or 2 where that cannot be."""
    _write(options, "stop", "stopped", names, selector, everything=everything, commit=commit)


def _write(
    options: Options,
    verb: str,
    state: State,
    names: Sequence[str] | None,
    selector: Sequence[str] | None,
    *,
    everything: bool,
    commit: bool,
) -> None:
    from reconciler.gitsource.commands import GitError

    try:
        with _tree(options.manifests) as (root, copy_of):
            chosen, changes, texts = _planned(root, verb, state, names, selector, everything=everything)
            if copy_of:
                _patch(copy_of, texts)
            if commit:
                _refuse_mixed(root, sorted(texts))
            for file, data in texts.items():
                _replace(file, data)
            for change in changes:
                typer.echo(f"{change.file}:{change.edit.line}: {change.name}: {_words(change.edit)}")
            for name in sorted(set(chosen) - {c.name for c in changes}):
                typer.echo(f"{name}: is {state} already")
            if changes and commit:
                typer.echo(_commit(root, sorted(texts), f"daq {verb} {' '.join(c.name for c in changes)}"))
            elif changes and options.git:
                typer.echo("takes effect once it is committed (--commit)", err=True)
        if changes and not answers(options.state):
            typer.echo("no loop is running here: daq apply carries it out", err=True)
    except GitError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}")


def _planned(
    root: Path,
    verb: str,
    state: State,
    names: Sequence[str] | None,
    selector: Sequence[str] | None,
    *,
    everything: bool,
) -> tuple[list[str], list[Change], Mapping[Path, bytes]]:
    """Who is meant, the edits, and the files' new bytes."""
    found, errors = desired.check([], root)
    for wrong in errors:
        typer.echo(str(wrong), err=True)
    collectors = {name: m for name, m in found.items() if m.kind == "Collector"}
    labels = {name: m.labels for name, m in collectors.items()}
    chosen = choose(labels, names, selector, everything=everything, verb=verb)
    return chosen, *_changes(root, [collectors[name] for name in chosen], state)


@contextmanager
def _tree(manifests: Path | Remote) -> Iterator[tuple[Path, Path | None]]:
    """The directory of the manifests; with the top of a copy of the newest commit where nobody works in one."""
    if isinstance(manifests, Path):
        yield manifests, None
        return
    if manifests.local and (manifests.local / ".git").exists():
        yield manifests.local / manifests.path, None
        return
    from reconciler.gitsource.checkout import Checkouts
    from reconciler.gitsource.commits import commits, newest

    with TemporaryDirectory(prefix="daq-edit-") as temporary, commits(manifests) as (repository, path):
        revision = repository.revision(newest(manifests))
        checkouts = Checkouts(Path(temporary))
        checkouts.make(repository, revision)
        top = checkouts.of(revision)
        try:
            yield top / path, top
        finally:
            checkouts.prune(())


def _changes(
    root: Path, manifests: Sequence[Manifest], state: State
) -> tuple[list[Change], dict[Path, bytes]]:
    """The edits, and each file's bytes after all of them."""
    changes: list[Change] = []
    texts: dict[Path, bytes] = {}
    for manifest in manifests:
        file = root / manifest.path
        try:
            edit = with_state(texts.get(file) or file.read_bytes(), manifest.name, state)
        except EditError as error:
            fail(f"{file}:{error.line}: cannot change {manifest.name}: {error.message}")
        if edit:
            changes.append(Change(manifest.name, file, edit))
            texts[file] = edit.data
    return changes, texts


def _words(edit: Edit) -> str:
    return f"{edit.before} -> {edit.after}" if edit.before else f"+ {edit.after}"


def _replace(file: Path, data: bytes) -> None:
    """Atomically, with the file's own mode; a link keeps pointing."""
    target = file.resolve()
    temporary = target.with_name(f".{target.name}.daq")
    try:
        temporary.write_bytes(data)
        shutil.copystat(target, temporary)
        temporary.touch()
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        fail(f"cannot write {file}: {error.strerror}")


def _patch(top: Path, texts: Mapping[Path, bytes]) -> NoReturn:
    """There is nothing to edit: print what to commit."""
    for file, data in sorted(texts.items()):
        path = file.relative_to(top)
        before, after = (part.decode().splitlines(keepends=True) for part in (file.read_bytes(), data))
        for line in unified_diff(before, after, f"a/{path}", f"b/{path}"):
            typer.echo(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n", nl=False)
    fail(
        "cannot edit a commit: apply this patch in a clone (git apply), commit and push it"
        if texts
        else "nothing to change: the newest commit says so already"
    )


@contextmanager
def _git(root: Path) -> Iterator[Git]:
    from reconciler.gitsource.commands import Git

    with TemporaryDirectory(prefix="daq-git-") as temporary:
        yield Git(root, Path(temporary) / "config", [root, *root.absolute().parents])


def _refuse_mixed(root: Path, files: Sequence[Path]) -> None:
    """A commit of these files must hold the new state only. Raises GitError outside a repository."""
    with _git(root) as git:
        for file in files:
            if git.text("status", "--porcelain", "--", str(file.resolve()), to=f"look at {file}"):
                fail(f"cannot commit {file}: it has other changes; commit them first, or leave out --commit")


def _commit(root: Path, files: Sequence[Path], message: str) -> str:
    """Commit these files; what is staged of others stays so. Raises GitError."""
    with _git(root) as git:
        paths = [str(file.resolve()) for file in files]
        git.run("commit", "--quiet", "--only", "--message", message, "--", *paths, to="commit the change")
        return f"committed as {git.text('rev-parse', 'HEAD', to='name the commit')[:12]}: {message}"
