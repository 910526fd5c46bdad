"""The reader of Dockerfiles and the build context, that the replay of the image rests on."""

from pathlib import Path, PurePosixPath

import pytest

from tests.deploy.build_context import files, is_in_context, patterns
from tests.deploy.dockerfile import Copy, Image, NotReplayed, Run, read

BASE = Image(environment={"PATH": "/usr/bin"})


def test_stages_steps_and_what_an_image_says() -> None:
    text = """
# a comment
ARG BASE=slim:1
FROM ${BASE} AS build
WORKDIR /src
COPY a.lock b.lock locks/
RUN make \\
    # a comment between
    && make install
FROM ${BASE}
COPY --from=build /opt/x /opt/x
ENV PATH=/opt/x/bin:$PATH \\
    WORDS="two words"
USER 10:20
EXPOSE 1 2
HEALTHCHECK --interval=5s CMD ["probe", "a b"]
ENTRYPOINT ["x"]
CMD ["--help"]
"""
    build, final = read(text, base=BASE, arguments={"BASE": "slim:2"})
    assert (build.base, build.name, final.base, final.name) == ("slim:2", "build", "slim:2", "1")
    assert [step.act for step in build.steps] == [
        Copy(sources=["a.lock", "b.lock"], target="locks/"),
        Run(command="make && make install"),
    ]
    assert build.steps[0].image.workdir == "/src"
    assert [step.act for step in final.steps] == [Copy(sources=["/opt/x"], target="/opt/x", source_stage="build")]
    assert final.image == Image(
        environment={"PATH": "/opt/x/bin:/usr/bin", "WORDS": "two words"},
        user="10:20",
        ports=[1, 2],
        healthcheck=["probe", "a b"],
        entrypoint=["x"],
        command=["--help"],
    )


@pytest.mark.parametrize(
    "line",
    [
        "ADD a b",
        "RUN --mount=type=cache make",
        'RUN ["make"]',
        "COPY --chown=1 a b",
        "COPY *.txt there/",
        "COPY <<EOF there",
        "ENV a",
        "ENV a=$unknown",
        "ENTRYPOINT tidemark",
        "USER somebody",
        "WORKDIR relative",
        "ONBUILD RUN make",
        "RUN make \\",
    ],
)
def test_what_it_does_not_know_it_refuses(line: str) -> None:
    with pytest.raises(NotReplayed):
        read(f"FROM slim\n{line}\n", base=BASE)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("README.md", True),
        ("secret.pem", False),
        (".git/config", False),
        ("services/cli/main.py", True),
        ("services/__pycache__/a.pyc", False),
        ("services/lua/apply.lua", True),
        ("tests/services/a.py", False),
    ],
)
def test_the_last_pattern_that_speaks_of_a_file_wins(path: str, kept: bool) -> None:
    ignore = patterns("# all\n*\n!README.md\n!services\n**/__pycache__\n")
    assert is_in_context(PurePosixPath(path), ignore) is kept


def test_the_files_of_a_context(tmp_path: Path) -> None:
    for name in ("a/b.py", "a/__pycache__/b.pyc", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(map(str, files(tmp_path, ["*", "!a", "**/__pycache__"]))) == ["a/b.py"]
    assert list(map(str, files(tmp_path, ["c.txt"]))) == ["a/__pycache__/b.pyc", "a/b.py"]
