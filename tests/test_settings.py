import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from teams_dagster.core.protocol import Role
from teams_dagster.instructions.prompts import FOLDER as PROMPTS
from teams_dagster.role_settings import OPENAI_URL, is_loopback
from teams_dagster.settings import Settings, SettingsError, load_settings

KEY = "sk-planted-secret"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root, and an environment without any setting."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path


def configure(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)


def test_with_nothing_set_every_role_is_offline_and_the_data_lies_in_the_root(root: Path):
    settings = load_settings(root)
    assert all(settings.role(role).provider == "offline" for role in Role)
    assert settings.data_dir == root / "data"
    assert settings.ledger_url == f"sqlite:///{root}/data/ledger.sqlite"


def test_relative_paths_are_relative_to_the_root(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, SEEDS="../shared/seeds.jsonl", DATA_DIR="elsewhere", EVALUATION_SETS="a.jsonl, b.jsonl")
    settings = load_settings(root)
    assert settings.seeds == root.parent / "shared" / "seeds.jsonl"
    assert settings.data_dir == root / "elsewhere"
    assert settings.evaluation_sets == (root / "a.jsonl", root / "b.jsonl")


def test_every_setting_that_is_a_path_is_relative_to_the_root(root: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(PROMPTS, root / "named", ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    monkeypatch.chdir("/")
    paths = [name for name, field in Settings.model_fields.items() if field.annotation == Path | None]
    configure(monkeypatch, **{name.upper(): "named" for name in paths})
    settings = load_settings(root)
    assert {name: getattr(settings, name) for name in paths} == dict.fromkeys(paths, root / "named")


def test_the_environment_wins_over_the_env_file(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / ".env").write_text("TEAMS_DATA_DIR=from-file\nTEAMS_FIRST_GENERATION=2026-03-02\n")
    configure(monkeypatch, DATA_DIR="from-environment")
    settings = load_settings(root)
    assert settings.data_dir == root / "from-environment"
    assert settings.first_generation == date(2026, 3, 2)


def test_an_empty_variable_does_not_hide_what_the_env_file_says(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / ".env").write_text("TEAMS_BUDGET_USD=5\nTEAMS_EXPERT_MODEL=m\nDAGSTER_HOME=elsewhere\n")
    configure(monkeypatch, BUDGET_USD="", EXPERT_MODEL="", EXPERT_API_KEY=KEY)
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings = load_settings(root)
    assert settings.budget_usd == 5
    assert settings.role(Role.EXPERT).model == "m"
    assert settings.dagster_home == root / "elsewhere"


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_the_env_file_may_be_saved_by_any_editor(root: Path, encoding: str):
    (root / ".env").write_text("TEAMS_DATA_DIR=größer\n", encoding=encoding)
    assert load_settings(root).data_dir == root / "größer"


def test_an_env_file_that_is_no_text_is_named(root: Path):
    (root / ".env").write_bytes(b"TEAMS_DATA_DIR=gr\xf6\xdfer\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read.*save it as UTF-8"):
        load_settings(root)


LINES = {
    "BUDGET_USD=5": "BUDGET_USD is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "budget_usd=5": "budget_usd is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "export SEEDS=a.jsonl": "SEEDS is no setting of this project; did you mean TEAMS_SEEDS",
    "TEAMS BUDGET_USD=5": "TEAMS BUDGET_USD is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "TEAMS BUDGET USD=5": "TEAMS BUDGET USD is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "TEAMS-BUDGET-USD=5": "TEAMS-BUDGET-USD is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "teams.budget_usd = 5": "teams.budget_usd is no setting of this project; did you mean TEAMS_BUDGET_USD",
    "BUDGET USD=5": "BUDGET USD is no setting of this project; did you mean TEAMS_BUDGET_USD",
    '$env:TEAMS_BUDGET_USD = "5"': "is written for PowerShell: write TEAMS_BUDGET_USD=",
    "$Env:BUDGET_USD=5": "is written for PowerShell: write TEAMS_BUDGET_USD=",
    "set TEAMS_BUDGET_USD=5": "is written for Windows' command line: write TEAMS_BUDGET_USD=",
    'SETX TEAMS_BUDGET_USD "5"': "is written for Windows' command line: write TEAMS_BUDGET_USD=",
    "set -gx TEAMS_BUDGET_USD 5": "is written for fish: write TEAMS_BUDGET_USD=",
    "setenv TEAMS_BUDGET_USD 5": "is written for csh: write TEAMS_BUDGET_USD=",
    "declare -x TEAMS_BUDGET_USD=5": "is written with `declare`: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD: 5": "is written as in YAML or JSON: write TEAMS_BUDGET_USD=",
    "  BUDGET_USD: 5": "is written as in YAML or JSON: write TEAMS_BUDGET_USD=",
    '{"TEAMS_BUDGET_USD": "5"}': "is written as in YAML or JSON: write TEAMS_BUDGET_USD=",
    '"TEAMS_BUDGET_USD"="5"': "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "- TEAMS_BUDGET_USD=5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "; TEAMS_BUDGET_USD=5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD 5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD := 5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD\uff1d5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD='5": "is no NAME=VALUE: write TEAMS_BUDGET_USD=",
    "TEAMS_BUDGET_USD => 5": "has a value that begins with '>': write TEAMS_BUDGET_USD=",
    "TEAMS_MODEL=\u201cm\u201d": "has a value that begins with '\u201c': write TEAMS_MODEL=",
    "TEAMS_MODEL=m;TEAMS_BUDGET_USD=5": "sets TEAMS_BUDGET_USD within the value of TEAMS_MODEL: give each",
    "export TEAMS_MODEL=m TEAMS_SEEDS=s": "sets TEAMS_SEEDS within the value of TEAMS_MODEL: give each",
    "TEAMS_BUDGET_USD=500\nTEAMS_BUDGET_USD=5": "sets TEAMS_BUDGET_USD again, to another value: leave one of the two",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_plainly_meant_as_a_setting_is_not_ignored(root: Path, line: str):
    (root / ".env").write_text(f"# what may be spent\n{line}\n", encoding="utf-8")
    number = 2 + line.count("\n")
    with pytest.raises(SettingsError, match=rf"^{root}/\.env, line {number}:? {re.escape(LINES[line])}"):
        load_settings(root)


def test_a_refused_line_never_shows_its_value(root: Path):
    (root / ".env").write_text(f"set TEAMS_API_KEY={KEY}\n")
    with pytest.raises(SettingsError) as refused:
        load_settings(root)
    assert KEY not in str(refused.value)


def test_lines_of_other_software_are_left_alone(root: Path):
    (root / ".env").write_text(
        "OPENAI_API_KEY=k\nset OTHER=1\n[section]\nteam: blue\nRAY_ADDRESS=auto\n# set TEAMS_BUDGET_USD=5\n"
        "MAIL=\"Dear TEAMS_, \n5\"\nTEAMS_WORKERS=2\nWORKERS=8\nexport TEAMS_BUDGET_USD = '7'\nTEAMS_SEEDS=\n"
    )
    settings = load_settings(root)
    assert (settings.budget_usd, settings.workers, settings.ray_address) == (7, 2, None)


def test_a_variable_without_its_prefix_is_not_ignored_but_where_others_have_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("MODEL", "API_KEY", "DATA_DIR", "WORKERS", "RAY_ADDRESS", "SEEDS", "ALERT_WEBHOOK_URL"):
        monkeypatch.setenv(name, "of another program")
    assert load_settings(root).roles == {}
    monkeypatch.setenv("BUDGET_USD", "5")
    with pytest.raises(SettingsError, match="BUDGET_USD is no setting of this project; did you mean TEAMS_BUDGET_USD"):
        load_settings(root)
    configure(monkeypatch, BUDGET_USD="6")
    assert load_settings(root).budget_usd == 6


def test_an_env_file_that_windows_gave_another_ending_is_not_ignored(root: Path):
    (root / ".env.txt").write_text("TEAMS_BUDGET_USD=5\n")
    with pytest.raises(SettingsError, match=r"\.env\.txt is not read: rename it to \.env"):
        load_settings(root)


@pytest.mark.parametrize(
    "name",
    [
        *("TEAM_EXPERT_MODEL", "teams_expert_model", "Teams_Expert_Model", "TEAMS EXPERT_MODEL"),
        *("TAEMS_EXPERT_MODEL", "TEMAS_EXPERT_MODEL", "T\u0415AMS_EXPERT_MODEL", "\u200bTEAMS_EXPERT_MODEL"),
        *("\u0422EAMS_EXPERT_MODEL", "\u03a4\u0395AMS_EXPERT_MODEL", "TEAMSEXPERT_MODEL", "teams_expert_modle"),
    ],
)
def test_a_name_that_is_plainly_meant_as_a_setting_is_not_ignored(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, "m")
    with pytest.raises(SettingsError, match=f"{name} is no setting of this project; did you mean TEAMS_EXPERT_MODEL"):
        load_settings(root)


def test_the_variables_of_other_software_are_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch):
    for name in (
        "TEAM_ID",
        "STEAM_API_KEY",
        "TEAMVIEWER_API_KEY",
        "TEAMSPEAK_API_KEY",
        "TEAMCITY_DATA_DIR",
        "TERM_MODEL",
    ):
        monkeypatch.setenv(name, "of another program")
    assert load_settings(root).roles == {}


@pytest.mark.parametrize("service", ["TEAMS", "TEAMS_DAGSTER", "TEAMS_SERVICE_PORT"])
def test_the_variables_of_a_service_whose_name_begins_with_teams_are_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, service: str
):
    """Kubernetes gives every pod these for each service of its namespace."""
    port = f"{service}_PORT_5432_TCP"
    for name in (
        *(f"{service}_SERVICE_HOST", f"{service}_SERVICE_PORT", f"{service}_SERVICE_PORT_GRPC"),
        *(f"{service}_PORT", port, f"{port}_PROTO", f"{port}_PORT", f"{port}_ADDR"),
    ):
        monkeypatch.setenv(name, "10.0.0.1")
    assert load_settings(root).roles == {}
    monkeypatch.setenv(f"{service}_URI", "postgresql://10.0.0.1/ledger")
    with pytest.raises(SettingsError, match=f"{service}_URI is no setting of this project"):
        load_settings(root)


@pytest.mark.parametrize("name", ["TEAMS_LEDGER_PORT", "TEAMS_LEDGER_SERVICE_PORT"])
def test_a_port_without_a_service_is_no_setting(root: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "5432")
    with pytest.raises(SettingsError, match=f"{name} is no setting of this project"):
        load_settings(root)


def test_the_roles_that_a_model_is_named_for_are_known(root: Path, monkeypatch: pytest.MonkeyPatch):
    assert load_settings(root).configured == ()
    configure(monkeypatch, REVIEWER_MODEL="m", REVIEWER_BASE_URL="http://127.0.0.1:1/v1")
    assert load_settings(root).configured == (Role.REVIEWER,)
    configure(monkeypatch, MODEL="m", BASE_URL="http://127.0.0.1:1/v1")
    assert load_settings(root).configured == tuple(Role)


def test_a_list_may_end_with_a_comma(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY, EXPERT_OMIT="seed, ", EVALUATION_SETS="a.jsonl,")
    settings = load_settings(root)
    assert settings.role(Role.EXPERT).omit == ("seed",)
    assert settings.evaluation_sets == (root / "a.jsonl",)


def test_a_role_may_be_asked_with_further_parameters(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY, EXPERT_EXTRA='{"top_k": 40}', EXPERT_MAX_TOKENS="900")
    role = load_settings(root).role(Role.EXPERT)
    assert (role.extra, role.max_tokens) == ({"top_k": 40}, 900)


def test_a_base_url_may_name_its_api_version(root: Path, monkeypatch: pytest.MonkeyPatch):
    url = "https://h.openai.azure.com/openai/deployments/d?api-version=2024-10-21"
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY, EXPERT_BASE_URL=url)
    assert load_settings(root).role(Role.EXPERT).base_url == url


def test_what_a_base_url_would_never_send_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY, EXPERT_BASE_URL="https://h.example/#/v1")
    with pytest.raises(SettingsError, match=r"TEAMS_EXPERT_BASE_URL has a #"):
        load_settings(root)


def test_once_a_role_is_configured_the_others_must_be_too(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY)
    settings = load_settings(root)
    assert settings.role(Role.EXPERT).base_url == OPENAI_URL
    with pytest.raises(SettingsError, match=r"TEAMS_INSTRUCTOR_MODEL.*TEAMS_INSTRUCTOR_PROVIDER=offline"):
        settings.role(Role.INSTRUCTOR)


def test_three_lines_serve_every_role_that_is_not_named_itself(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, MODEL="m", BASE_URL="https://h.example/v1", API_KEY=KEY, JUDGE_PROVIDER="offline")
    configure(monkeypatch, EXPERT_MODEL="large", REVIEWER_RPM="60")
    settings = load_settings(root)
    served = {role: (settings.role(role).model, settings.role(role).base_url) for role in Role}
    assert served == {
        Role.EXPERT: ("large", "https://h.example/v1"),
        Role.REVIEWER: ("m", "https://h.example/v1"),
        Role.INSTRUCTOR: ("m", "https://h.example/v1"),
        Role.GUIDE: ("m", "https://h.example/v1"),
        Role.JUDGE: ("rules", ""),
    }
    assert settings.role(Role.REVIEWER).rpm == 60
    assert settings.shared_line(Role) == ("TEAMS_MODEL, m at https://h.example/v1, serves reviewer, instructor, guide")


def test_a_role_that_names_a_model_is_its_own_even_where_it_names_the_same_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    configure(monkeypatch, MODEL="m", BASE_URL="https://h.example/v1", API_KEY=KEY)
    configure(monkeypatch, EXPERT_MODEL="m", REVIEWER_RPM="60")
    configure(monkeypatch, JUDGE_MODEL="m", JUDGE_BASE_URL="https://h.example/v1", JUDGE_API_KEY=KEY)
    assert load_settings(root).shared_roles(Role) == [Role.REVIEWER, Role.INSTRUCTOR, Role.GUIDE]


def test_the_common_key_goes_to_no_other_address(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, MODEL="m", BASE_URL="https://h.example/v1", API_KEY=KEY)
    configure(monkeypatch, EXPERT_MODEL="large", EXPERT_BASE_URL="http://127.0.0.1:8000/v1")
    configure(monkeypatch, JUDGE_MODEL="large", JUDGE_API_KEY="sk-of-the-judge")
    settings = load_settings(root)
    assert settings.role(Role.EXPERT).api_key is None
    assert settings.role(Role.JUDGE).base_url == OPENAI_URL


def test_a_role_can_be_offline_on_purpose(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY, INSTRUCTOR_PROVIDER="offline")
    assert load_settings(root).role(Role.INSTRUCTOR).provider == "offline"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"EXPRT_MODEL": "m"}, "TEAMS_EXPRT_MODEL.*did you mean TEAMS_EXPERT_MODEL"),
        ({"MAX_IN_FLIGHT": "many"}, "TEAMS_MAX_IN_FLIGHT"),
        ({"MAX_IN_FLIGHT": "0"}, "TEAMS_MAX_IN_FLIGHT"),
        ({"FIRST_GENERATION": "2026-01-06"}, "TEAMS_FIRST_GENERATION.*Monday"),
        ({"EXPERT_PROVIDER": "anthropic", "EXPERT_MODEL": "m"}, "TEAMS_EXPERT_PROVIDER"),
        ({"EXPERT_PROVIDER": "transformers"}, "TEAMS_EXPERT_MODEL"),
        ({"EXPERT_PROVIDER": "embedding", "EXPERT_MODEL": "m"}, "TEAMS_EXPERT_PROVIDER=.*REVIEWER alone"),
        ({"EXPERT_MODEL": "m"}, "TEAMS_EXPERT_API_KEY"),
        ({"EXPERT_MODEL": "m", "EXPERT_BASE_URL": "api.example.com", "EXPERT_API_KEY": KEY}, "TEAMS_EXPERT_BASE_URL"),
        ({"EXPERT_MODEL": "m", "EXPERT_BASE_URL": "http://h.example/v1", "EXPERT_API_KEY": KEY}, "TEAMS_ALLOW_HTTP"),
        (
            {"EXPERT_MODEL": "m", "EXPERT_BASE_URL": "https://u:p@h.example", "EXPERT_API_KEY": KEY},
            "TEAMS_EXPERT_API_KEY",
        ),
        (
            {"EXPERT_MODEL": "m", "EXPERT_BASE_URL": "https://h.example/v1?key=1", "EXPERT_API_KEY": KEY},
            "TEAMS_EXPERT_BASE_URL must hold neither",
        ),
        (
            {"EXPERT_MODEL": "m", "EXPERT_BASE_URL": "https://h.example/v1/chat/completions", "EXPERT_API_KEY": KEY},
            "TEAMS_EXPERT_BASE_URL ends in /chat/completions",
        ),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_EXTRA": "top_k=40"}, "TEAMS_EXPERT_EXTRA:.*JSON object"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_EXTRA": "[40]"}, "TEAMS_EXPERT_EXTRA:.*JSON object"),
        (
            {"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_EXTRA": '{"model": "n"}'},
            "TEAMS_EXPERT_EXTRA:.*model is set by the role's _MODEL",
        ),
        ({"EXPERT_PROVIDER": "offline", "EXPERT_EXTRA": "{}"}, "TEAMS_EXPERT_EXTRA"),
        ({"EXPERT_PROVIDER": "offline", "EXPERT_MAX_TOKENS": "9"}, "TEAMS_EXPERT_MAX_TOKENS"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_MAX_TOKENS": "0"}, "TEAMS_EXPERT_MAX_TOKENS:"),
        ({"BUDGET_USD": "-5"}, "TEAMS_BUDGET_USD"),
        ({"API_KEY": KEY}, "TEAMS_MODEL is not set, and TEAMS_API_KEY is of no use"),
        ({"MODEL": "m"}, "TEAMS_API_KEY is not set"),
        ({"MODEL": "m", "API_KEY": f"{KEY}\n"}, "TEAMS_API_KEY holds"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_RPM": "inf"}, "TEAMS_EXPERT_RPM:"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_TPM": "nan"}, "TEAMS_EXPERT_TPM:"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_OMIT": "seed,top_k"}, "TEAMS_EXPERT_OMIT:.*top_k"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": KEY, "EXPERT_BASE_URL": KEY}, "TEAMS_EXPERT_BASE_URL"),
        ({"EXPERT_MODEL": "m", "EXPERT_BASE_URL": f"https://[{KEY}"}, "TEAMS_EXPERT_BASE_URL"),
        (
            {"EXPERT_MODEL": "m", "EXPERT_API_KEY": f"{KEY}\n"},
            r"TEAMS_EXPERT_API_KEY holds U\+000A .* at place 18 of 18",
        ),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": f"“{KEY}"}, "TEAMS_EXPERT_API_KEY .*LEFT DOUBLE QUOTATION MARK"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": f"{KEY}\u200b"}, "TEAMS_EXPERT_API_KEY .*ZERO WIDTH SPACE"),
        ({"EXPERT_MODEL": "m", "EXPERT_API_KEY": f"{KEY}\u0430"}, "TEAMS_EXPERT_API_KEY .*CYRILLIC SMALL LETTER A"),
        ({"FIRST_GENERATION": "2999-12-30"}, "TEAMS_FIRST_GENERATION.*has not come yet"),
        ({"DATA_DIR": "/etc/passwd"}, "TEAMS_DATA_DIR: /etc/passwd cannot be a folder"),
        ({"DATA_DIR": "/etc/passwd/data"}, "TEAMS_DATA_DIR: .*/etc/passwd is a file"),
        ({"DATA_DIR": "x" * 300}, "TEAMS_DATA_DIR: .* cannot be a folder .File name too long"),
        ({"DATA_DIR": "what?"}, r"TEAMS_DATA_DIR: .*what\? holds \?"),
        ({"DATA_DIR": "all*"}, r"TEAMS_DATA_DIR: .*all\* holds \*"),
        ({"DATA_DIR": "a\\b"}, r"TEAMS_DATA_DIR: .* holds \\"),
        ({"LEDGER_URL": "sqlite:///what?/l.sqlite"}, "TEAMS_LEDGER_URL: an address of SQLite ends"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str
):
    configure(monkeypatch, **values)
    with pytest.raises(SettingsError, match=message) as failure:
        load_settings(root)
    assert KEY not in str(failure.value)


def test_a_server_on_this_machine_needs_no_key_and_no_https(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_BASE_URL="http://127.0.0.1:8000/v1")
    assert load_settings(root).role(Role.EXPERT).api_key is None


def test_plain_http_can_be_allowed(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(
        monkeypatch, EXPERT_MODEL="m", EXPERT_BASE_URL="http://llm.internal/v1", EXPERT_API_KEY=KEY, ALLOW_HTTP="1"
    )
    assert load_settings(root).role(Role.EXPERT).model == "m"


def test_a_key_is_in_no_representation(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_API_KEY=KEY)
    settings = load_settings(root)
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_ledgers_password_is_in_no_representation(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, LEDGER_URL=f"postgresql://teams:{KEY}@host/db")
    settings = load_settings(root)
    assert settings.ledger_url.endswith(f"{KEY}@host/db")
    assert KEY not in repr(settings) + str(settings)


@pytest.mark.parametrize("port", ["99999", "abc", "-1"])
def test_a_base_url_whose_port_is_none_is_refused_by_name(root: Path, monkeypatch: pytest.MonkeyPatch, port: str):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_BASE_URL=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(SettingsError, match=r"TEAMS_EXPERT_BASE_URL.*port"):
        load_settings(root)


@pytest.mark.parametrize(
    "url", [f"me:{KEY}@host/v1", f"ftp://me:{KEY}@host", f"host?key={KEY}", f"https://h/v1?k={KEY}"]
)
def test_a_base_url_with_a_secret_is_refused_and_not_repeated(root: Path, monkeypatch: pytest.MonkeyPatch, url: str):
    configure(monkeypatch, EXPERT_MODEL="m", EXPERT_BASE_URL=url, EXPERT_API_KEY=KEY)
    with pytest.raises(SettingsError, match="TEAMS_EXPERT_API_KEY") as refused:
        load_settings(root)
    assert KEY not in str(refused.value)


def test_this_machine_has_many_names():
    assert all(
        is_loopback(url)
        for url in (
            *(
                "http://localhost:1/v1",
                "http://LOCALHOST.:1",
                "http://127.0.0.9",
                "http://127.1:8000",
                "http://2130706433",
            ),
            *("http://[::1]:80/", "http://[::ffff:127.0.0.1]:80", "http://0.0.0.0:8000"),
            *("http://ip6-localhost:8000/v1", "http://ip6-loopback/v1", "http://localhost6:8000", "http://localhost4"),
            *("https://IP6-LOCALHOST.", "http://localhost.localdomain", "http://localhost6.localdomain6:1"),
        )
    )
    assert not any(
        is_loopback(url)
        for url in (
            *("https://localhost.example", "http://127.0.0.1.example", "http://host.docker.internal"),
            *("http://10.0.0.1", "http://[::ffff:10.0.0.1]", "nonsense"),
            *("http://ip6-localhost.example", "http://localhost7", "http://ip6-allnodes", "http://localdomain"),
        )
    )


def test_models_and_ledgers_in_folders_are_found_from_anywhere(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "student").mkdir()
    configure(
        monkeypatch,
        STUDENT="student",
        LEDGER_URL="sqlite:///books/l.sqlite",
        EXPERT_PROVIDER="transformers",
        EXPERT_MODEL="student",
    )
    settings = load_settings(root)
    assert settings.student == settings.role(Role.EXPERT).model == str(root / "student")
    assert settings.ledger_url == f"sqlite:///{root}/books/l.sqlite"


def test_a_hub_id_stays_as_it_is_and_a_missing_folder_is_named(root: Path, monkeypatch: pytest.MonkeyPatch):
    configure(monkeypatch, STUDENT="meta-llama/Llama-3.2-1B")
    assert load_settings(root).student == "meta-llama/Llama-3.2-1B"
    configure(monkeypatch, STUDENT="./student")
    with pytest.raises(SettingsError, match=r"^TEAMS_STUDENT: .*student does not exist"):
        load_settings(root)


@pytest.mark.parametrize("variable", ["STUDENT", "EXPERT_MODEL"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("models/mine", "'models/mine' names a folder, and .*/models/mine does not exist"),
        ("mine.gguf", "names a file, and .*/mine.gguf does not exist"),
        ("owner/mine.safetensors", "names a file, and .*/owner/mine.safetensors does not exist"),
        ("models/one/checkpoint-8", "is no hub id such as owner/model, and .*/checkpoint-8 does not exist"),
        ("owner/model/", "is no hub id such as owner/model, and .*/owner/model does not exist"),
        ("my model", "is no hub id"),
        ("C:\\models\\mine", "is no hub id"),
        ("owner/model@main", "is no hub id"),
        ("https://huggingface.co/owner/model", "is an address: give the hub id alone, such as owner/model"),
    ],
)
def test_what_can_be_no_hub_id_is_never_asked_of_the_hub(
    root: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
):
    (root / "models").mkdir()
    configure(monkeypatch, EXPERT_PROVIDER="transformers", **{"EXPERT_MODEL": "owner/model", variable: value})
    with pytest.raises(SettingsError, match=f"^TEAMS_{variable}: .*{said}"):
        load_settings(root)


def test_a_small_model_is_named_by_its_name_once_it_is_made(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "models" / "smollm2").mkdir(parents=True)
    configure(monkeypatch, STUDENT="smollm2", EXPERT_PROVIDER="transformers", EXPERT_MODEL="smollm2")
    settings = load_settings(root)
    assert settings.student == settings.role(Role.EXPERT).model == str(root / "models" / "smollm2")


def test_the_reviewer_can_be_a_sentence_embedding_model(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "models" / "minilm").mkdir(parents=True)
    configure(monkeypatch, REVIEWER_PROVIDER="embedding", REVIEWER_MODEL="minilm")
    assert load_settings(root).role(Role.REVIEWER).model == str(root / "models" / "minilm")


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("TEAMS_STUDENT", {"STUDENT": "smollm2"}),
        ("TEAMS_EXPERT_MODEL", {"EXPERT_PROVIDER": "transformers", "EXPERT_MODEL": "smollm2"}),
    ],
)
def test_a_small_model_that_is_not_made_says_what_to_type(
    root: Path, monkeypatch: pytest.MonkeyPatch, variable: str, values: dict[str, str]
):
    configure(monkeypatch, **values)
    with pytest.raises(SettingsError, match=f"^{variable}: 'smollm2'.*run make models"):
        load_settings(root)


def test_dagsters_home_can_be_in_the_env_file(root: Path):
    (root / ".env").write_text("DAGSTER_HOME=elsewhere\n")
    assert load_settings(root).dagster_home == root / "elsewhere"


@pytest.mark.parametrize(
    ("provider", "way"),
    [("offline", "json_schema"), ("openai", "logprobs"), ("transformers", "grammar"), ("openai", "sometimes")],
)
def test_a_way_of_holding_a_model_that_its_provider_does_not_have_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, provider: str, way: str
):
    configure(monkeypatch, REVIEWER_PROVIDER=provider, REVIEWER_MODEL="m", REVIEWER_STRUCTURED=way)
    with pytest.raises(SettingsError, match=f"^TEAMS_REVIEWER_STRUCTURED must be one of auto,.*not '{way}'"):
        load_settings(root)
