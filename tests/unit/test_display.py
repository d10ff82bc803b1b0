"""Cards are escaped, and carry no script, class or color of their own."""

import re

from dynaberg.display import LOCAL_NOTE, card, mask_account, workbench_card
from dynaberg.settings import Settings


def test_values_and_labels_are_escaped():
    html = card("<b>t</b>", {"<i>": "a & <script>alert(1)</script>"}, note="<x>")
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;t&lt;/b&gt;" in html
    assert "&lt;x&gt;" in html


def test_no_class_no_script_no_fixed_color():
    html = workbench_card(Settings(), "us-east-1", "000000000000")
    assert "class=" not in html
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|rgb\(|<script", html)


def test_local_says_what_is_not_enforced_and_aws_does_not():
    assert LOCAL_NOTE in workbench_card(Settings(target="local"), "us-east-1", "000000000000")
    assert LOCAL_NOTE not in workbench_card(Settings(target="aws"), "us-east-1", "000000000000")


def test_the_cost_class_stands_on_the_card_of_aws():
    assert "Cost class" not in workbench_card(Settings(), "us-east-1", "000000000000")
    card = workbench_card(Settings(target="aws"), "us-east-1", "000000000000", cost="low: $4 < $5")
    assert "Cost class" in card
    assert "low: $4 &lt; $5" in card


def test_the_account_is_masked_to_its_last_four_digits():
    account = "12345678" + "9012"
    html = workbench_card(Settings(target="aws"), "eu-west-1", account)
    assert account not in html
    assert "9012" in html
    assert mask_account("42") == "42"
