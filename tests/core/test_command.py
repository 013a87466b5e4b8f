"""Commands: words of a line, and references as Kubernetes expands them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpools.core.tasks.command import MAX_EXPANDED, argv_of, expand, expand_all, expand_environment

ENVIRONMENT = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": "", "1x": "one"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo hello", ["echo", "hello"]),
        ("echo 'a b'  \"c d\"", ["echo", "a b", "c d"]),
        (r"echo a\ b", ["echo", "a b"]),
        ("echo $HOME | wc", ["echo", "$HOME", "|", "wc"]),
        ("sh -c 'echo $(NAME) # no comment'", ["sh", "-c", "echo $(NAME) # no comment"]),
        ("echo ''", ["echo", ""]),
    ],
)
def test_a_command_line_is_split_as_a_shell_would_and_given_to_none(line: str, words: list[str]) -> None:
    assert argv_of((), line) == words


def test_a_command_is_taken_as_it_is() -> None:
    assert argv_of(("echo", "a b", "'"), "ignored") == ["echo", "a b", "'"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("echo 'a", "commandLine cannot be split into words: No closing quotation"), ("  ", "the command is empty")],
)
def test_what_cannot_be_a_command_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        argv_of((), line)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [  # k8s.io/kubernetes third_party/forked/golang/expansion/expand_test.go
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("___$(VAR_C)", "___C"),
        ("$(VAR_A)-$(VAR_B)", "A-B"),
        ("$(VAR_A)_$(VAR_A)", "A_A"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("foo\\$(VAR_A)", "foo\\A"),
        ("foo$$(VAR_A)_$(VAR_B)", "foo$(VAR_A)_B"),
        ("$$", "$"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$$(VAR_A)", "$$A"),
        ("$$$$$$$(VAR_A)", "$$$A"),
        ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$$(VAR_DNE)", "$(VAR_DNE)"),
        ("$(VAR_A", "$(VAR_A"),
        ("$((VAR_A))", "$((VAR_A))"),
        ("$($(VAR_A))", "$($(VAR_A))"),
        ("$()", "$()"),
        ("$(1x)", "one"),
        ("foo_bar_$", "foo_bar_$"),
        ("$x$(VAR_A)", "$xA"),
    ],
)
def test_references_are_expanded_as_in_a_pod(text: str, expanded: str) -> None:
    assert expand(text, ENVIRONMENT) == expanded


@given(st.text(alphabet="$()VAR_ABx ", max_size=40))
def test_a_text_without_known_names_changes_only_where_a_dollar_is_doubled(text: str) -> None:
    assert expand(text, {}).replace("$", "") == text.replace("$", "")


def test_a_value_may_refer_to_what_stands_before_it_and_not_to_what_follows() -> None:
    environment = expand_environment({"ROOT": "/r"}, ["A=$(ROOT)/a", "B=$(A)/b", "C=$(LATER)", "LATER=x", "A=new"])
    assert environment == {"ROOT": "/r", "A": "new", "B": "/r/a/b", "C": "$(LATER)", "LATER": "x"}


def test_values_that_grow_without_end_are_refused() -> None:
    doubling = ["V0=" + "x" * 1000, *(f"V{i}=$(V{i - 1})$(V{i - 1})" for i in range(1, 60))]
    with pytest.raises(ValueError, match=f"more than {MAX_EXPANDED} characters"):
        expand_environment({}, doubling)
    with pytest.raises(ValueError, match=f"more than {MAX_EXPANDED} characters"):
        expand_all(["$(BIG)"] * 30, {"BIG": "x" * 40_000})
