"""`cli.redeploy`: what is deployed when which file changes, and what is said about it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas.cli.redeploy import Redeployer, call_lines
from actorfaas.client import Client
from actorfaas.errors import DeployError
from tests.fake_node import FakeNode, Reply, document, problem


def deployed(app: str, version: int, *functions: str) -> Reply:
    names = list(functions)
    return document({"app": app, "version": version, "functions": names, "workflows": [], "unforkable": []}, 201)


def only(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on standard error since the last look; nothing goes to standard output."""
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.fixture
def node(fake: FakeNode) -> Iterator[Client]:
    with Client(fake.url) as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application in a folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "app.py").write_text("one")
    return folder


def puts(fake: FakeNode) -> list[str]:
    return [asked.path.rpartition("/")[2] for asked in fake.asked if asked.method == "PUT"]


def test_the_first_time(fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy"))
    Redeployer(node, shop).deploy_all()
    said = capsys.readouterr()
    assert said.out == ""
    assert "shop version 1 is in service after " in said.err
    assert f"actorfaas --url {fake.url} invoke buy '{{}}'" in said.err
    assert f"curl {fake.url}/v1/invoke/buy -d '{{}}'" in said.err


def test_a_change(fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy", "old"), deployed("shop", 2, "buy", "sell"))
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    capsys.readouterr()
    (shop / "app.py").write_text("two")
    redeployer.files_changed({shop / "app.py"})
    said = capsys.readouterr().err
    assert "shop version 2 is in service after " in said
    assert "(app.py)" in said
    assert "  - old" in said
    assert "invoke sell" in said
    assert "invoke buy" not in said
    with zipfile.ZipFile(io.BytesIO(fake.last.body)) as archive:
        assert archive.read("app.py") == b"two"


def test_files_that_were_there_for_a_moment_are_not_named(
    fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "old.py").write_text("")
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy"), deployed("shop", 2, "buy"))
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    (shop / "app.py").write_text("two")
    (shop / "old.py").unlink()
    redeployer.files_changed({shop / "app.py", shop / "old.py", shop / "sed4vhVhO"})
    assert only(capsys).splitlines()[-1].endswith(" s (app.py, old.py)")


def test_what_the_node_has_already_is_said(
    fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"app": "shop", "version": 4, "functions": ["buy"], "workflows": [], "unforkable": [], "unchanged": True}
    fake.on("PUT", "/v1/deployments/shop", document(answer, 201))
    Redeployer(node, shop).deploy_all()
    said = only(capsys)
    assert "shop is unchanged, version 4 stays in service after " in said
    assert "invoke buy" in said


def test_the_same_content_is_not_deployed_again(fake: FakeNode, node: Client, shop: Path) -> None:
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy"))
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    redeployer.files_changed({shop / "app.py"})
    assert puts(fake) == ["shop"]


@pytest.mark.parametrize("name", ["__pycache__/app.pyc", ".actorfaas/node.json", "../other.py"])
def test_files_that_do_not_belong_to_it(fake: FakeNode, node: Client, shop: Path, name: str) -> None:
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy"))
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    (shop / "app.py").write_text("two")
    redeployer.files_changed({(shop / name).resolve()})
    assert puts(fake) == ["shop"]


def test_a_version_that_fails(fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traceback = 'File "app.py", line 1\nSyntaxError: invalid syntax'
    fake.on(
        "PUT",
        "/v1/deployments/shop",
        deployed("shop", 1, "buy"),
        problem(422, "deploy_failed", "SyntaxError", traceback=traceback),
        deployed("shop", 2, "buy"),
    )
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    (shop / "app.py").write_text("def")
    redeployer.files_changed({shop / "app.py"})
    said = capsys.readouterr().err
    assert traceback in said
    assert "shop was not deployed; version 1 stays in service" in said
    (shop / "app.py").write_text("fixed")
    redeployer.files_changed({shop / "app.py"})
    assert "shop version 2" in capsys.readouterr().err


def test_the_first_version_fails(fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("PUT", "/v1/deployments/shop", problem(422, "deploy_failed", "no good"))
    Redeployer(node, shop).deploy_all()
    said = capsys.readouterr().err
    assert "no good" in said
    assert "nothing is in service yet" in said


def test_only_the_application_that_changed(fake: FakeNode, node: Client, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("one")
        fake.on("PUT", f"/v1/deployments/{name}", deployed(name, 1, f"f{name}"))
    redeployer = Redeployer(node, tmp_path)
    redeployer.deploy_all()
    (tmp_path / "b" / "app.py").write_text("two")
    redeployer.files_changed({tmp_path / "b" / "app.py"})
    assert puts(fake) == ["a", "b", "b"]


def test_applications_that_come_and_go(
    fake: FakeNode, node: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fake.on("PUT", f"/v1/deployments/{name}", deployed(name, 1, f"f{name}"))
    (tmp_path / "a" / "app.py").write_text("one")
    redeployer = Redeployer(node, tmp_path)
    redeployer.deploy_all()
    (tmp_path / "b" / "app.py").write_text("one")
    redeployer.files_changed({tmp_path / "b" / "app.py"})
    assert puts(fake) == ["a", "b"]
    fake.on("DELETE", "/v1/deployments/a", Reply(204))
    (tmp_path / "a" / "app.py").unlink()
    redeployer.files_changed({tmp_path / "a" / "app.py"})
    assert (fake.last.method, fake.last.path) == ("DELETE", "/v1/deployments/a")
    assert "a was removed" in capsys.readouterr().err


def test_when_everything_is_gone_for_a_moment(
    fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Editors and version control replace files; nothing is removed because of it."""
    fake.on("PUT", "/v1/deployments/shop", deployed("shop", 1, "buy"))
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    (shop / "app.py").unlink()
    redeployer.files_changed({shop / "app.py"})
    assert "what was deployed stays in service" in capsys.readouterr().err
    assert [asked.method for asked in fake.asked] == ["PUT"]


def test_a_node_that_is_gone_for_a_moment(
    fake: FakeNode, node: Client, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on(
        "PUT", "/v1/deployments/shop", problem(503, "restarting", "later", retryable=True), deployed("shop", 1, "buy")
    )
    redeployer = Redeployer(node, shop)
    redeployer.deploy_all()
    assert redeployer.has_due()
    redeployer.files_changed(set())
    assert not redeployer.has_due()
    assert puts(fake) == ["shop", "shop"]
    assert "shop version 1" in capsys.readouterr().err


def test_nothing_there(node: Client, tmp_path: Path) -> None:
    with pytest.raises(DeployError):
        Redeployer(node, tmp_path).deploy_all()


def test_commands_need_no_url_where_the_default_is_right() -> None:
    assert call_lines("http://127.0.0.1:8080", "f")[0] == "actorfaas invoke f '{}'"
