"""The command line on a real chain and a real IPFS daemon: the story up to a proposed job, and each refusal on the way.

The tests run in their order and build on one another, as a hospital and a researcher would.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.chain.client import Chain
from protocol.chain.deployment import Deployment
from protocol.chain.rpc import Rpc
from protocol.cli import main
from protocol.cli.output import PRIVACY_NONE
from protocol.costs import job_cost
from protocol.data import breast_cancer
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT
from protocol.devnet import Devnet
from protocol.templates import Template

SCHEMA = "wisconsin-breast-cancer"
NOWHERE = "http://127.0.0.1:9"
TOKEN = 10**18


@dataclass
class Story:
    """What the tests have come to so far."""

    devnet: Devnet
    home: Path
    files: Path
    found: dict[str, Any] = field(default_factory=dict)

    def invoke(self, *words: object, **environment: str) -> Result:
        return CliRunner().invoke(
            main, [str(word) for word in words], env={"SALUS_HOME": str(self.home), **environment}
        )

    def salus(self, *words: object, **environment: str) -> dict[str, Any]:
        """Runs a command with --json that must succeed; its document."""
        outcome = self.invoke(*words, "--json", **environment)
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout)

    def refused(self, *words: object, says: str, **environment: str) -> None:
        """Runs a command that must be refused in words, without a traceback, both for people and for programs."""
        outcome = self.invoke(*words, **environment)
        assert outcome.exit_code == 1, outcome.output
        assert says in outcome.stderr
        assert "Traceback" not in outcome.output
        error = json.loads(self.invoke(*words, "--json", **environment).stdout)["error"]
        assert says in f"{error['message']}\n{error['hint']}"

    def text(self, *words: object) -> str:
        """Runs a command that must succeed; what people read."""
        outcome = self.invoke(*words)
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    def address(self, name: str) -> str:
        return self.devnet.accounts.keystore.find(name).address

    def sent(self) -> int:
        """How many transactions the keystore has sent. Blocks also come without one, to tell the time."""
        rpc = Rpc(self.devnet.status().rpc_url)
        requests = [
            ("eth_getTransactionCount", (each.address, "latest"))
            for each in self.devnet.accounts.keystore.list()
        ]
        return sum(int(count, 16) for count in rpc.batch(requests))


@pytest.fixture(scope="module")
def story(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A home whose development network is the tests' own."""
    home = tmp_path_factory.mktemp("home")
    (home / "devnet").symlink_to(devnet.home)
    made = Story(devnet, home, tmp_path_factory.mktemp("files"))
    keystore = devnet.accounts.keystore
    for name in ("cli-a-admin", "cli-a-operator", "cli-b-admin", "cli-b-operator", "cli-new-operator"):
        devnet.fund(keystore.new(name, devnet.accounts.password).address)
    for hospital in breast_cancer.load()[:2]:
        columns = list(hospital.records[0])
        with (made.files / f"{hospital.name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow([*columns, "split"])
            for record, split in zip(hospital.records, hospital.splits, strict=True):
                side = "held_out" if split == HELD_OUT else "train"
                table.writerow([*(record[column] for column in columns), side])
    made.found["tables"] = sorted(made.files.glob("*.csv"))
    return made


# -- accounts ----------------------------------------------------------------------------------------------------------


def test_the_network_says_where_it_is(story: Story) -> None:
    document = story.salus("devnet", "status")
    assert document["running"]
    assert document["deployed"]


def test_accounts_are_made_imported_and_listed(story: Story, tmp_path: Path) -> None:
    made = story.salus("account", "new", "cli-fresh", "--fund")
    key = tmp_path / "key.hex"
    key.write_text("11" * 32)
    imported = story.salus("account", "import", "cli-imported", "--key-file", key)
    listed = {each["name"]: each for each in story.salus("account", "list")["accounts"]}
    assert listed["cli-fresh"]["address"] == made["address"]
    assert listed["cli-imported"]["address"] == imported["address"]
    assert int(listed["cli-fresh"]["balance_wei"]) > 0
    assert int(listed["holder-1"]["votes"]) > 0


def test_a_wrong_password_or_account_is_refused(story: Story, tmp_path: Path) -> None:
    wrong = tmp_path / "pw"
    wrong.write_text("wrong\n")
    story.refused(
        "consent",
        "revoke",
        1,
        "--account",
        "cli-a-admin",
        "--password-file",
        wrong,
        says="opened with this password",
    )
    story.refused("consent", "revoke", 1, "--account", "nobody", says="There is no account nobody")


def test_without_a_terminal_a_password_is_not_waited_for(story: Story, tmp_path: Path) -> None:
    status = story.devnet.status()
    outcome = story.invoke(
        "consent", "revoke", 1, "--account", "cli-a-admin",
        SALUS_HOME=str(tmp_path),
        SALUS_RPC_URL=status.rpc_url,
        SALUS_DEPLOYMENT=str(story.devnet.deployment_file),
        SALUS_KEYSTORE=str(story.devnet.accounts.folder),
    )  # fmt: skip
    assert outcome.exit_code == 1
    assert "there is no terminal to ask on" in outcome.stderr


# -- hospitals, by vote ------------------------------------------------------------------------------------------------


def test_the_dao_admits_a_hospital_step_by_step(story: Story) -> None:
    proposed = story.salus(
        "hospital", "admit", "Basel", "--admin", story.address("cli-a-admin"), "--operator",
        story.address("cli-a-operator"), "--account", "holder-1",
    )  # fmt: skip
    number = proposed["proposal"]
    story.refused("vote", "cast", number, "for", "--account", "holder-1", says="")
    now = Chain(story.devnet.status().rpc_url, Deployment.load(story.devnet.deployment_file)).now()
    story.devnet.advance_time(max(1, proposed["vote_start"] + 1 - now))
    cast = story.salus("vote", "cast", number, "for", "--account", "holder-1", "--reason", "known to us")
    assert int(cast["weight"]) == 400_000 * TOKEN
    story.refused("vote", "cast", number, "for", "--account", "holder-1", says="already")
    story.refused("vote", "queue", number, "--account", "holder-1", says="")
    rules = story.salus("vote", "status")["rules"]
    story.devnet.advance_time(rules["voting_period_seconds"] + 1)
    story.salus("vote", "queue", number, "--account", "holder-2")
    story.devnet.advance_time(rules["timelock_delay_seconds"] + 1)
    executed = story.salus("vote", "execute", number, "--account", "holder-2")
    admitted = next(each for each in executed["events"] if each["event"] == "HospitalAdmitted")
    story.found["a"] = admitted["arguments"]["hospitalId"]
    shown = story.salus("vote", "show", number)
    assert shown["state"] == "executed"
    assert shown["votes"]["for"] == str(400_000 * TOKEN)


def test_on_a_development_network_a_proposal_passes_at_once(story: Story) -> None:
    document = story.salus(
        "hospital", "admit", "Turin", "--admin", story.address("cli-b-admin"), "--operator",
        story.address("cli-b-operator"), "--account", "holder-1", "--execute",
    )  # fmt: skip
    assert document["state"] == "executed"
    listed = story.salus("hospital", "list")["hospitals"]
    story.found["b"] = next(each["hospital_id"] for each in listed if each["name"] == "Turin")


def test_a_suspension_and_its_end_are_votes(story: Story) -> None:
    hospital = story.found["b"]
    story.salus("hospital", "suspend", hospital, "--account", "holder-1", "--execute")
    assert story.salus("hospital", "show", hospital)["suspended"]
    story.refused(
        "dataset", "register", story.found["tables"][1], "--schema", SCHEMA, "--name", "two", "--account",
        "cli-b-operator", says="suspended",
    )  # fmt: skip
    assert not (story.home / "datasets" / "two").exists()
    story.salus("hospital", "suspend", hospital, "--lift", "--account", "holder-1", "--execute")
    assert not story.salus("hospital", "show", hospital)["suspended"]


def test_an_account_without_votes_cannot_propose(story: Story) -> None:
    story.refused("hospital", "suspend", story.found["a"], "--account", "researcher", says="votes")


def test_an_admin_rotates_the_operator_key(story: Story) -> None:
    document = story.salus(
        "hospital", "rotate-key", story.address("cli-new-operator"), "--account", "cli-b-admin"
    )
    assert document["previous"] == story.address("cli-b-operator")
    assert story.salus("hospital", "show", story.found["b"])["operator"] == story.address("cli-new-operator")


# -- bonds -------------------------------------------------------------------------------------------------------------


def test_a_hospital_deposits_for_bonds_and_takes_back_what_is_free(story: Story) -> None:
    hospital = story.found["a"]
    story.refused("bond", "deposit", 100, "--account", "cli-a-admin", says="has 0 devUSD")
    story.refused(
        "bond", "deposit", 100, "--hospital", 999, "--account", "cli-a-admin", says="no hospital 999"
    )
    deposited = story.salus("bond", "deposit", 150, "--mint", "--account", "cli-a-admin")
    assert (deposited["hospital_id"], deposited["free"]) == (hospital, str(150 * TOKEN))
    story.refused("bond", "withdraw", 151, "--account", "cli-a-admin", says="150 devUSD free")
    story.refused("bond", "withdraw", 1, "--account", "researcher", says="acts for no hospital")
    assert story.salus("bond", "withdraw", 50, "--account", "cli-a-admin")["free"] == str(100 * TOKEN)
    assert story.salus("bond", "unlock", "--account", "cli-a-admin")["jobs"] == []
    shown = story.salus("bond", "show", "--hospital", hospital)
    assert shown["bond"]["amount"] == str(100 * TOKEN)
    (books,) = shown["tokens"]
    assert books["balanced"]
    assert books["hospitals"] == {str(hospital): {"free": str(100 * TOKEN), "locked": {}}}
    assert "The books balance" in story.text("bond", "show")


# -- datasets ----------------------------------------------------------------------------------------------------------


def test_datasets_are_registered_and_listed(story: Story) -> None:
    for key, name, table, account in (
        ("data_a", "one", story.found["tables"][0], "cli-a-operator"),
        ("data_b", "two", story.found["tables"][1], "cli-new-operator"),
    ):
        made = story.salus(
            "dataset", "register", table, "--schema", SCHEMA, "--name", name, "--account", account
        )
        story.found[key] = made["dataset_id"]
    listed = {each["dataset_id"]: each for each in story.salus("dataset", "list")["datasets"]}
    assert listed[story.found["data_a"]]["schema"]["name"] == SCHEMA
    assert listed[story.found["data_a"]]["hospital_id"] == story.found["a"]


def test_the_same_records_are_not_registered_twice(story: Story) -> None:
    story.refused(
        "dataset", "register", "--name", "one", "--account", "cli-a-operator", says="already registered"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header, _: header.remove("mean radius"), "'mean radius'"),
        (
            lambda header, rows: (header.append("patient_name"), [row.append("x") for row in rows]),
            "'patient_name'",
        ),
        (lambda _, rows: rows[2].__setitem__(0, "many"), "text where a number belongs"),
        (lambda _, rows: rows[2].__setitem__(0, "NaN"), "row 3"),
    ],
    ids=["a missing column", "an identifier", "text", "NaN"],
)
def test_a_bad_table_is_refused_by_name(
    story: Story, tmp_path: Path, change: Callable[[list[str], list[list[str]]], Any], says: str
) -> None:
    with story.found["tables"][0].open(newline="") as file:
        header, *rows = list(csv.reader(file))
    before = len(header)
    change(header, rows)
    if len(header) < before:
        rows = [row[1:] for row in rows]
    bad = tmp_path / "bad.csv"
    with bad.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    sent = story.sent()
    story.refused(
        "dataset",
        "register",
        bad,
        "--schema",
        SCHEMA,
        "--name",
        "bad",
        "--account",
        "cli-a-operator",
        says=says,
    )
    assert not (story.home / "datasets" / "bad").exists()
    assert story.sent() == sent


def test_only_an_operator_registers(story: Story) -> None:
    story.refused(
        "dataset", "register", story.found["tables"][0], "--schema", SCHEMA, "--name", "other",
        "--account", "cli-a-admin", says="not the operator",
    )  # fmt: skip
    assert not (story.home / "datasets" / "other").exists()


def test_a_dataset_is_verified_and_one_record_proved(story: Story, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    assert story.salus("dataset", "verify", "--name", "one", "--prove", 3, "--out", proof)["ok"]
    assert story.salus("dataset", "verify", "--proof", proof)["index"] == 3
    document = json.loads(proof.read_text())
    document["record"]["mean radius"] += 1
    proof.write_text(json.dumps(document))
    story.refused("dataset", "verify", "--proof", proof, says="is not in it")


def test_salts_and_keys_come_back_from_a_backup(story: Story, tmp_path: Path) -> None:
    password, wrong = tmp_path / "pw", tmp_path / "wrong"
    password.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    kept = tmp_path / "salus.backup"
    story.salus("dataset", "backup", kept, "--name", "one", "--records", "--password-file", password)
    home = tmp_path / "new"
    story.refused("--home", home, "dataset", "restore", kept, "--password-file", wrong, says="password")
    story.salus("--home", home, "dataset", "restore", kept, "--password-file", password)
    restored, original = (each / "datasets" / "one" / "salts.bin" for each in (home, story.home))
    assert restored.read_bytes() == original.read_bytes()
    assert (home / "keystore" / "cli-a-operator.json").exists()


# -- consents ----------------------------------------------------------------------------------------------------------


def test_a_consent_is_minted_shown_and_revoked_for_good(story: Story) -> None:
    minted = story.salus(
        "consent", "mint", "--dataset", story.found["data_a"], "--permission", "DS", "--mondo", "MONDO:0005148",
        "--modifier", "IRB", "--expires-in", "30d", "--max-rounds", 5, "--account", "cli-a-admin",
    )  # fmt: skip
    consent = minted["consent_id"]
    shown = story.salus("consent", "show", consent)
    assert (shown["state"], shown["terms"]["mondo"], shown["terms"]["modifiers"]) == (
        "live",
        "MONDO:0005148",
        ["IRB"],
    )
    assert "ethics approval required" in story.text("consent", "show", consent)
    story.salus("consent", "revoke", consent, "--account", "cli-a-admin")
    assert story.salus("consent", "show", consent)["state"] == "revoked"
    story.refused("consent", "revoke", consent, "--account", "cli-a-admin", says="revoked")


def test_a_signed_consent_is_minted_once(story: Story, tmp_path: Path) -> None:
    signature = tmp_path / "consent.json"
    terms = (
        "--dataset",
        story.found["data_b"],
        "--permission",
        "GRU",
        "--expires-in",
        "90d",
        "--max-rounds",
        50,
    )
    story.refused(
        "consent", "sign", *terms, "--out", signature, "--account", "cli-a-admin", says="only its admin"
    )
    assert not signature.exists()
    story.salus("consent", "sign", *terms, "--out", signature, "--account", "cli-b-admin")
    story.found["consent_b"] = story.salus(
        "consent", "mint", "--signature", signature, "--account", "researcher"
    )["consent_id"]
    story.refused("consent", "mint", "--signature", signature, "--account", "researcher", says="used already")


def test_only_the_admin_mints(story: Story) -> None:
    terms = (
        "--dataset",
        story.found["data_a"],
        "--permission",
        "HMB",
        "--expires-in",
        "90d",
        "--max-rounds",
        50,
    )
    story.refused("consent", "mint", *terms, "--account", "cli-a-operator", says="admin")


@pytest.mark.parametrize(
    "terms",
    [
        ("--permission", "DS", "--expires-in", "1d"),
        ("--permission", "HMB", "--mondo", "MONDO:0005148", "--expires-in", "1d"),
        ("--permission", "HMB", "--modifier", "GS", "--expires-in", "1d"),
        ("--permission", "HMB"),
        ("--permission", "HMB", "--modifier", "XX", "--expires-in", "1d"),
    ],
)
def test_terms_that_contradict_themselves_are_wrong_usage(story: Story, terms: tuple[str, ...]) -> None:
    words = (
        "consent",
        "mint",
        "--dataset",
        story.found["data_a"],
        "--max-rounds",
        5,
        *terms,
        "--account",
        "cli-a-admin",
    )
    assert story.invoke(*words).exit_code == 2


# -- jobs --------------------------------------------------------------------------------------------------------------


def draft() -> dict[str, Any]:
    """A job that two hospitals could do."""
    document = json.loads(json.dumps(Template.load("breast-cancer").document))
    return {
        **document,
        "data": {"schema": DataSchema.packaged(SCHEMA).to_dict()},
        "retain_until": 2_000_000_000,
        "rounds": 3,
        # Two hospitals cannot mask: each would know the other's update from the sum.
        "privacy": {"mechanism": "none"},
        "hospitals": {"min": 2, "max": 2},
    }


def test_masks_among_two_hospitals_are_refused(story: Story, tmp_path: Path) -> None:
    bad = tmp_path / "two.json"
    bad.write_text(json.dumps({**draft(), "privacy": {"mechanism": "masked"}}))
    story.refused("job", "check", bad, "--write", tmp_path / "spec.json", says="hospitals.min")


def test_a_draft_becomes_a_spec_and_says_what_is_missing(story: Story, tmp_path: Path) -> None:
    written, spec = tmp_path / "draft.json", story.files / "spec.json"
    written.write_text(json.dumps(draft(), indent=2))
    story.refused("job", "check", written, says="--write")
    outcome = story.invoke("job", "check", written, "--write", spec, "--json")
    document = json.loads(outcome.stdout)
    assert outcome.exit_code == 1, "one hospital's consent is missing"
    assert document["hospitals"] == [story.found["b"]]
    reasons = [each["reason"] for each in document["matches"] if each["hospital_id"] == story.found["a"]]
    assert any("revoked" in reason for reason in reasons)
    assert document["notices"] == [PRIVACY_NONE]
    assert spec.exists()


def test_a_job_is_checked_with_a_dry_round(story: Story) -> None:
    story.salus(
        "consent", "mint", "--dataset", story.found["data_a"], "--permission", "HMB", "--modifier", "PUB",
        "--expires-in", "90d", "--max-rounds", 50, "--account", "cli-a-admin",
    )  # fmt: skip
    document = story.salus("job", "check", story.files / "spec.json", "--dry-run", "--dataset", "one")
    assert document["enough"]
    assert document["machine"]["parameters"] == 31
    assert document["dry_round"]["after"]["loss"] < document["dry_round"]["before"]["loss"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": "salus/2"}, "protocol"),
        ({"model": {"architecture": "transformer", "parameters": {}}}, "model.architecture"),
        ({"training": {**draft()["training"], "loss": "hinge"}}, "training.loss"),
        (
            {
                "reward": {
                    "split_bps": {"hospitals": 1, "caregivers": 1, "patients": 1, "merger": 1, "dao": 1}
                }
            },
            "sum to 5 basis points",
        ),
        ({"code": "import os"}, "'code'"),
        ({"title": "x" * 300_000}, "262,144"),
    ],
    ids=["another protocol", "unknown architecture", "unknown loss", "split", "unknown field", "oversized"],
)
def test_a_bad_spec_is_refused_with_its_place(
    story: Story, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**draft(), **change}))
    story.refused("job", "check", bad, "--write", tmp_path / "spec.json", says=says)
    assert not (tmp_path / "spec.json").exists()


def test_a_reward_that_is_not_there_changes_nothing(story: Story) -> None:
    spec, sent = story.files / "spec.json", story.sent()
    words = ("job", "propose", spec, "--new-model", "Breast", "--account", "cli-b-operator")
    story.refused(*words, "--reward", 5000, says="the reward is 5,000")
    assert story.sent() == sent


def test_a_job_is_proposed_shown_and_cancelled(story: Story) -> None:
    outcome = story.invoke(
        "job", "propose", story.files / "spec.json", "--new-model", "Breast", "--reward", "1000.5", "--mint-reward",
        "--account", "researcher", "--json",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    proposed = json.loads(outcome.stdout)
    job, model = proposed["job_id"], proposed["model"]
    story.found["model"] = model
    assert proposed["gas_used"] == pytest.approx(job_cost(3, 2).researcher, rel=0.25)
    assert proposed["notices"] == [PRIVACY_NONE]
    assert PRIVACY_NONE in story.text("job", "show", job)
    assert PRIVACY_NONE in story.text("job", "list")
    shown = story.salus("job", "show", job)
    assert (shown["status"], shown["privacy"], shown["reward_amount"]) == (
        "enrolling",
        "none",
        str(1_000_500 * 10**15),
    )
    story.refused("job", "cancel", job, "--account", "cli-b-operator", says="researcher")
    assert story.salus("job", "cancel", job, "--account", "researcher")["final_rounds"] == 0
    watched = story.invoke("job", "watch", job)
    assert watched.exit_code == 0
    assert "cancelled after 0 final rounds" in watched.stderr
    assert "1,000.5 devUSD paid to" in story.text("reward", "claim", "--account", "researcher")
    story.refused("reward", "claim", "--account", "researcher", says="Nothing is owed")
    assert all(each["balanced"] for each in story.salus("reward", "show", "--job", job)["tokens"])


# -- models ------------------------------------------------------------------------------------------------------------


def test_a_base_version_is_listed_pulled_traced_and_predicts(story: Story, tmp_path: Path) -> None:
    version, spec = f"{story.found['model']}@1", story.files / "spec.json"
    listed = story.salus("model", "list")["versions"]
    assert {"model": story.found["model"], "version": 1, "name": "Breast"}.items() <= listed[-1].items()
    assert story.salus("model", "show", version)["status"] == "base"
    story.refused("model", "pull", version, "--out", tmp_path / "model.safetensors", says="--spec")
    pulled = story.salus("model", "pull", version, "--spec", spec, "--out", tmp_path / "model.safetensors")
    assert pulled["parameters"] == 31
    patients = tmp_path / "patients.csv"
    with story.found["tables"][0].open(newline="") as file:
        rows = [row[:30] for row in csv.reader(file)][:4]
    with patients.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    predicted = story.salus("model", "predict", version, patients, "--spec", spec)["predictions"]
    assert len(predicted) == 3
    assert all(0 <= probability <= 1 for probability in predicted)
    traced = story.salus("trace", version)
    assert traced["ok"]
    assert traced["failures"] == []


def test_a_base_is_not_released(story: Story) -> None:
    words = (
        "vote",
        "propose",
        "--release",
        f"{story.found['model']}@1",
        "--account",
        "holder-1",
        "--execute",
    )
    story.refused(*words, says="only a candidate version can be released")


# -- what does not exist, or does not answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hospital", "show", 999), "no hospital 999"),
        (("consent", "show", 999), "no consent 999"),
        (("consent", "revoke", 999, "--account", "cli-a-admin"), "no consent 999"),
        (("job", "show", 999), "no job 999"),
        (("job", "watch", 999), "no job 999"),
        (("model", "show", "999@1"), "no model 999"),
        (("trace", "999@1"), "no model 999"),
        (("vote", "show", 999), "no proposal 999"),
        (("dataset", "verify", "--name", "nothing"), "no dataset nothing"),
        (("reward", "show", "--hospital", 999), "no hospital 999"),
        (("--network", "elsewhere", "job", "list"), "no network elsewhere"),
        (("--rpc-url", NOWHERE, "job", "list"), "does not answer"),
        (("--rpc-url", "nonsense", "job", "list"), "not a URL"),
        (("--deployment", "/nowhere.json", "job", "list"), "/nowhere.json"),
        (("--ipfs-api", NOWHERE, "trace", "1@1"), "IPFS daemon"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_is_not_there_is_refused_in_words(story: Story, words: tuple[object, ...], says: str) -> None:
    story.refused(*words, says=says)


def test_a_chain_of_another_genesis_is_refused(story: Story, tmp_path: Path) -> None:
    document = json.loads(story.devnet.deployment_file.read_text())
    other = tmp_path / "deployment.json"
    other.write_text(json.dumps({**document, "genesis_hash": "0x" + "12" * 32}))
    story.refused("--deployment", other, "job", "list", says="reset")
    other.write_text(json.dumps({**document, "chain_id": 5}))
    story.refused("--deployment", other, "job", "list", says="chain 5")
    contracts = {**document["contracts"], "TrainingJobs": "0x" + "34" * 20}
    other.write_text(json.dumps({**document, "contracts": contracts}))
    story.refused("--deployment", other, "job", "list", says="TrainingJobs")
